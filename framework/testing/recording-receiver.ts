import type { NodeAddress } from '../identity/silo-address.ts';
import { systemClock } from '../system/clock.ts';
import type { Lane, PlainCall, Receiver } from '../transport/transport.ts';

const TIMEOUT_MS = 10_000;

/** A node that writes down what happens to it, and lets a test wait for it. */
export class RecordingReceiver implements Receiver {
  readonly messages: { lane: Lane; payload: Uint8Array }[] = [];
  readonly returned: { lane: Lane; to: NodeAddress | undefined; ticket: number }[] = [];
  readonly connections: boolean[] = [];
  plainCalls = 0;
  /** How many times it was called in all. */
  events = 0;
  /** What it does with a plain call. */
  answer: (call: PlainCall) => void = () => {};
  readonly #waiting = new Set<() => void>();

  received(lane: Lane, payload: Uint8Array): void {
    this.messages.push({ lane, payload });
    this.#happened();
  }

  undeliverable(lane: Lane, to: NodeAddress | undefined, ticket: number): void {
    this.returned.push({ lane, to, ticket });
    this.#happened();
  }

  connectionChanged(connected: boolean): void {
    this.connections.push(connected);
    this.#happened();
  }

  plainCall(call: PlainCall): void {
    this.plainCalls++;
    this.answer(call);
    this.#happened();
  }

  /** What came on a lane, as text. */
  texts(lane: Lane): string[] {
    return this.messages
      .filter((message) => message.lane === lane)
      .map(({ payload }) => Buffer.from(payload).toString());
  }

  /**
   * Resolves when `condition` holds, which is looked at after every event here or at `other`. Rejects after
   * `timeoutMs`.
   */
  until(
    condition: () => boolean,
    what: string,
    other?: RecordingReceiver,
    timeoutMs = TIMEOUT_MS,
  ): Promise<void> {
    const receivers = other ? [this, other] : [this];
    return new Promise((resolve, reject) => {
      const settle = () => {
        timer.cancel();
        for (const receiver of receivers) receiver.#waiting.delete(look);
      };
      const timer = systemClock.after(timeoutMs, () => {
        settle();
        reject(new Error(`${what}: not seen within ${timeoutMs} ms`));
      });
      const look = () => {
        if (!condition()) return;
        settle();
        resolve();
      };
      for (const receiver of receivers) receiver.#waiting.add(look);
      look();
    });
  }

  #happened(): void {
    this.events++;
    for (const look of [...this.#waiting]) look();
  }
}
