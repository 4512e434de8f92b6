import { MessageChannel } from 'node:worker_threads';
import type { Clock } from '../system/clock.ts';

/**
 * Batches that may follow each other without I/O and timers getting their turn; few enough that heartbeats
 * stay punctual.
 */
const BATCHES_PER_TURN = 16;

/**
 * What an in-process network has accepted and not delivered yet, first in, first out. All of a tick is
 * delivered as one batch, after the JavaScript that sent it.
 *
 * Two nodes that answer each other at once would keep Node.js from ever reaching its timers: no heartbeat, no
 * deadline. So every few batches the next one comes as a real event, through a message port, which unlike a
 * clock's timer also keeps the process alive until then: a program that only awaits a call does not end
 * before the answer.
 */
export class DeliveryQueue {
  readonly #clock: Clock;
  #actions: (() => void)[] = [];
  #batches = 0;
  #ports: MessageChannel | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  post(action: () => void): void {
    if (this.#actions.push(action) > 1) return;
    if (++this.#batches % BATCHES_PER_TURN > 0) this.#clock.defer(this.#deliver);
    else this.#deliverAsEvent();
  }

  readonly #deliver = (): void => {
    const batch = this.#actions;
    this.#actions = [];
    for (const action of batch) {
      try {
        action();
      } catch (error) {
        // A receiver must not throw. If it does, the process hears of it, but the rest of the batch still
        // arrives.
        this.#clock.defer(() => {
          throw error;
        });
      }
    }
  };

  #deliverAsEvent(): void {
    this.#ports ??= this.#open();
    const { port1, port2 } = this.#ports;
    port1.ref();
    port2.postMessage(undefined);
  }

  #open(): MessageChannel {
    const ports = new MessageChannel();
    ports.port1.on('message', () => {
      ports.port1.unref();
      this.#deliver();
    });
    return ports;
  }
}
