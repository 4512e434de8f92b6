import type { Caller } from '../grain/reference.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Timer } from '../system/clock.ts';
import { ITEM, type Item } from './frames.ts';
import type { Node } from './node.ts';
import type { Outcome, PendingCall } from './pending-call.ts';
import { StreamConsumer } from './stream-consumer.ts';

/** What streams need of the calls that they are. */
export interface StreamCalls {
  cancel(call: PendingCall, error: Error): void;
  /** The stream came from this silo, to its end. */
  settle(call: PendingCall, from: NodeAddress, error: Error | undefined): void;
}

/** How soon a node that goes on sending a stream which nobody reads is told so again. */
const STRAY_MS = 100;

/**
 * The streams that this node reads. One timer serves all of them, so that what they say to one silo leaves as
 * one message, however many they are.
 */
export class OpenStreams {
  readonly #node: Pick<Node, 'clock' | 'link'>;
  readonly #calls: StreamCalls;
  readonly #open = new Map<number, StreamConsumer>();
  #timer: Timer | undefined;
  /** What came last of a stream that nobody reads. */
  #stray = { id: 0, from: '', at: 0 };

  constructor(node: Pick<Node, 'clock' | 'link'>, calls: StreamCalls) {
    this.#node = node;
    this.#calls = calls;
  }

  /** A stream for a reader. `start` sends its call; undefined when that failed at once. */
  read(binder: Caller, start: (outcome: Outcome) => PendingCall | undefined): StreamConsumer {
    return new StreamConsumer(binder, {
      start: (stream) => {
        const call = start(stream);
        if (call && !stream.done) this.#add(call, stream);
        return call;
      },
      report: (call, read, received, asks) => this.#report(call, read, received, asks),
      finish: (call, received, error) => {
        const from = call.sentTo as NodeAddress;
        this.#report(call, received, received, false); // or it would be sent again
        this.#calls.settle(call, from, error);
      },
      cancel: (call, error) => this.#calls.cancel(call, error),
      closed: (call) => void this.#open.delete(call.id),
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Takes what a producer on another node says. False when it is something else. */
  received(from: NodeAddress, item: Item): boolean {
    const [kind, id] = item;
    if (kind !== ITEM.streamItem && kind !== ITEM.streamEnd && kind !== ITEM.streamKnown) return false;
    const stream = this.#open.get(id as number);
    const call = stream?.call;
    if (kind === ITEM.streamKnown) {
      if (stream && from === call?.sentTo) stream.answered(item[2] === 1);
    } else if (stream && call) {
      call.sentTo = from; // word that it was passed on may have been lost
      stream.arrived(item);
    } else {
      this.#refuse(from, id);
    }
    return true;
  }

  /** The producer has not heard that its reader is gone. */
  #refuse(from: NodeAddress, id: unknown): void {
    const now = this.#node.clock.now();
    const { id: lastId, from: lastFrom, at } = this.#stray;
    if (typeof id !== 'number' || (id === lastId && from === lastFrom && now - at < STRAY_MS)) return;
    this.#stray = { id, from, at: now };
    this.#node.link.send(from, [ITEM.cancel, id]);
  }

  #report(call: PendingCall, read: number, received: number, asks: boolean): void {
    if (call.progress === 'local') call.onCredit?.(read);
    else if (call.progress === 'sent' && call.sentTo) {
      const item = [ITEM.credit, call.id, read, received];
      this.#node.link.send(call.sentTo, asks ? [...item, 1] : item);
    }
  }

  #add(call: PendingCall, stream: StreamConsumer): void {
    this.#open.set(call.id, stream);
    this.#timer ??= this.#node.clock.inBackground(LIMITS.streamTickMs, this.#tick);
  }

  readonly #tick = (): void => {
    const { clock } = this.#node;
    this.#timer = this.#open.size > 0 ? clock.inBackground(LIMITS.streamTickMs, this.#tick) : undefined;
    const justNow = clock.now() - LIMITS.streamTickMs;
    for (const stream of this.#open.values()) {
      const { call } = stream;
      if (call?.progress === 'sent' && call.sentAt <= justNow) stream.tick();
      else stream.excuse();
    }
  };
}
