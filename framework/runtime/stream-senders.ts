import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Call } from '../rpc/call.ts';
import { ITEM, type Item, isCount } from '../rpc/frames.ts';
import type { Node } from '../rpc/node.ts';
import { StreamSender } from '../rpc/stream-sender.ts';
import type { Timer } from '../system/clock.ts';

/**
 * The streams that other nodes read from this silo, from when their call has come until the reader has all,
 * has left, or has not been heard of for too long. A stream whose call was passed on is remembered, too, for
 * a reader that has missed it.
 */
export class StreamSenders {
  readonly #node: Pick<Node, 'clock' | 'link'>;
  readonly #calls = new Map<string, Call>();
  /** Where calls went, the oldest first: the word that their caller got of it, and when. */
  readonly #passedOn = new Map<string, { readonly word: Item; readonly at: number }>();
  #timer: Timer | undefined;

  constructor(node: Pick<Node, 'clock' | 'link'>) {
    this.#node = node;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** The call of a stream has come. */
  add(call: Call): void {
    const key = keyOf(call.caller, call.id);
    this.#passedOn.delete(key);
    call.sender = new StreamSender();
    this.#calls.set(key, call);
    this.#timer ??= this.#node.clock.inBackground(LIMITS.streamTickMs, this.#tick);
  }

  /** The call is not here any more. */
  remove(call: Call): void {
    const key = keyOf(call.caller, call.id);
    this.#passedOn.delete(key);
    call.sender = undefined;
    if (this.#calls.get(key) === call) this.#calls.delete(key);
  }

  passedOn(call: Call, word: Item): void {
    this.remove(call);
    const { clock } = this.#node;
    const tooOld = clock.now() - LIMITS.streamTickMs * LIMITS.streamSilentTicks;
    for (const [key, { at }] of this.#passedOn) {
      if (at > tooOld && this.#passedOn.size < LIMITS.forwards) break;
      this.#passedOn.delete(key);
    }
    this.#passedOn.set(keyOf(call.caller, call.id), { word, at: clock.now() });
  }

  /** A reader says how far it is. False when it makes no sense. */
  credit(from: NodeAddress, [, id, read, received, asks]: Item): boolean {
    if (!isCount(id) || !isCount(read) || !isCount(received)) return false;
    const { link } = this.#node;
    const key = keyOf(from, id);
    const call = this.#calls.get(key);
    const sender = call?.sender;
    if (!call || !sender) {
      if (asks) link.send(from, this.#passedOn.get(key)?.word ?? [ITEM.streamKnown, id, 0]);
      return true;
    }
    sender.silence = 0;
    sender.confirm(received);
    sender.wasRead(read);
    if (sender.done) this.#calls.delete(key);
    else call.onCredit?.(read);
    if (!asks) return true;
    // What is still on its way out is not lost.
    const again = sender.again().filter((item) => !link.holds(from, item));
    for (const item of again) link.send(from, item);
    if (again.length === 0) link.send(from, [ITEM.streamKnown, id, 1]);
    return true;
  }

  /** The reader waits no more. False when it reads no stream of that number here. */
  cancel(from: NodeAddress, id: unknown): boolean {
    const key = keyOf(from, id);
    const call = this.#calls.get(key);
    if (!call) return false;
    this.#end(key, call);
    return true;
  }

  /** A node is gone, with its readers. */
  lost(node: NodeAddress): void {
    for (const [key, call] of this.#calls) if (call.caller === node) this.#end(key, call);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#calls.clear();
    this.#passedOn.clear();
  }

  #end(key: string, call: Call): void {
    this.#calls.delete(key);
    this.#node.link.withdraw(call.caller, call.id);
    const ended = call.sender?.ended;
    call.sender = undefined;
    if (!ended) call.cancel();
  }

  readonly #tick = (): void => {
    for (const [key, call] of this.#calls) {
      const { sender } = call;
      if (!sender || ++sender.silence > LIMITS.streamSilentTicks) this.#end(key, call);
    }
    const { clock } = this.#node;
    this.#timer = this.#calls.size > 0 ? clock.inBackground(LIMITS.streamTickMs, this.#tick) : undefined;
  };
}

function keyOf(caller: NodeAddress, id: unknown): string {
  return `${id} ${caller}`;
}
