import { CallCancelledError, SiloUnavailableError } from '../errors.ts';
import type { Caller } from '../grain/reference.ts';
import { LIMITS } from '../limits.ts';
import { unpack } from '../serialization/codec.ts';
import { errorIn, ITEM, type Item, isCount } from './frames.ts';
import type { Outcome, PendingCall } from './pending-call.ts';
import { bytesOf, isHeavy } from './stream-sender.ts';

/** What a stream needs of the calls of its node. */
export interface StreamDoor {
  /** Sends the call; undefined when it failed at once. */
  start(stream: StreamConsumer): PendingCall | undefined;
  /** Tells the producer how many items have been read, and up to which all have come. */
  report(call: PendingCall, read: number, received: number, asks: boolean): void;
  /** All has come, with the stream's end. */
  finish(call: PendingCall, received: number, error: Error | undefined): void;
  cancel(call: PendingCall, error: Error): void;
  /** The stream needs nothing more. */
  closed(call: PendingCall): void;
}

type Waiter = { resolve(result: IteratorResult<unknown>): void; reject(error: unknown): void };

/**
 * The reading end of a stream. The call is sent when the first item is asked for. The producer may be a
 * window of items ahead; each time half of the window has been read, it hears how far the reader is. Leaving
 * the loop early, or an error, ends the producer too.
 *
 * From another node, items and the end have an index: what comes early waits for what is before it, and what
 * comes twice is dropped. A gap, or a while without a word, makes the reader *ask*: then what it has not
 * confirmed is sent again. So nothing that the network loses is missed, and nobody waits for it in vain.
 */
export class StreamConsumer implements AsyncIterableIterator<unknown>, Outcome {
  readonly #binder: Caller;
  readonly #door: StreamDoor;
  readonly #items: unknown[] = [];
  readonly #waiters: Waiter[] = [];
  #call: PendingCall | undefined;
  #started = false;
  #end: { readonly error?: unknown } | undefined;
  /** How many items have come from another node with none missing before them. */
  #received = 0;
  /** What came before its turn. */
  readonly #early = new Map<number, Item>();
  #read = 0;
  /** Up to here there are items that take much of the window: the producer waits for word of them. */
  #heavy = 0;
  /** Since the last tick. */
  #heard = true;
  #reported = false;
  /** Ticks without a word. */
  #silence = 0;

  constructor(binder: Caller, door: StreamDoor) {
    this.#binder = binder;
    this.#door = door;
  }

  get call(): PendingCall | undefined {
    return this.#call;
  }

  /** Whatever comes now comes too late. */
  get done(): boolean {
    return this.#end !== undefined;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<unknown>> {
    if (!this.#started) {
      this.#started = true;
      this.#call = this.#door.start(this);
    }
    if (this.#items.length > 0) return Promise.resolve({ done: false, value: this.#take() });
    if (this.#end) return this.#ended();
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  async return(value?: unknown): Promise<IteratorResult<unknown>> {
    this.#started = true;
    this.#items.length = 0;
    this.#end ??= {};
    if (this.#call)
      this.#door.cancel(this.#call, new CallCancelledError('the stream was closed by its reader'));
    this.#wake();
    return { done: true, value };
  }

  resolve(): void {
    this.#close({});
  }

  reject(error: unknown): void {
    this.#close({ error });
  }

  /** An item from this node itself: none of them is ever lost. */
  push(value: unknown): void {
    if (this.#end) return;
    const waiter = this.#waiters.shift();
    if (!waiter) return void this.#items.push(value);
    this.#count();
    waiter.resolve({ done: false, value });
  }

  /** An item, or the end, from another node. */
  arrived(item: Item): void {
    const call = this.#call;
    if (this.#end || !call) return;
    this.#heard = true;
    const index = item[2];
    if (!isCount(index) || index < this.#received || index > this.#read + LIMITS.streamWindow) return;
    if (index > this.#received) {
      const first = this.#early.size === 0;
      this.#early.set(index, item);
      if (first) this.#report(call, true);
      return;
    }
    this.#accept(call, item);
    while (!this.#end && this.#early.size > 0) {
      const next = this.#early.get(this.#received);
      if (!next) return;
      this.#early.delete(this.#received);
      this.#accept(call, next);
    }
  }

  /** Word that the producer is there, or is not. */
  answered(known: boolean): void {
    this.#heard = true;
    if (this.#call && !this.#end && !known) this.#lost(this.#call, 'its silo does not have it any more');
  }

  /** No word can be expected yet. */
  excuse(): void {
    this.#heard = true;
  }

  /** Time passes. Says that the reader is there, and asks when nothing was heard for a whole tick. */
  tick(): void {
    const call = this.#call;
    if (!call || this.#end) return;
    this.#silence = this.#heard ? 0 : this.#silence + 1;
    if (this.#silence > LIMITS.streamSilentTicks) return this.#lost(call, 'its silo does not answer');
    const asks = !this.#heard || this.#early.size > 0;
    if (asks || !this.#reported) this.#report(call, asks);
    this.#heard = this.#reported = false;
  }

  #accept(call: PendingCall, item: Item): void {
    this.#received++;
    const packed = item[3];
    if (item[0] === ITEM.streamEnd) {
      const error = packed === undefined ? undefined : errorIn(packed);
      return this.#door.finish(call, this.#received, error);
    }
    if (isHeavy(bytesOf(packed))) this.#heavy = this.#received;
    try {
      this.push(packed instanceof Uint8Array ? unpack(packed, this.#binder) : packed);
    } catch (error) {
      this.#door.cancel(call, error as Error);
    }
  }

  #lost(call: PendingCall, why: string): void {
    const { target, method } = call;
    const text = `${target}.${method}: the stream was lost, ${why}; read it anew`;
    this.#door.cancel(call, new SiloUnavailableError(text, { grain: target }));
  }

  #take(): unknown {
    const value = this.#items.shift();
    this.#count();
    return value;
  }

  #count(): void {
    const isDue = ++this.#read % (LIMITS.streamWindow / 2) === 0 || this.#read <= this.#heavy;
    if (isDue && this.#call && !this.#end) this.#report(this.#call, false);
  }

  #report(call: PendingCall, asks: boolean): void {
    this.#reported = true;
    this.#door.report(call, this.#read, this.#received, asks);
  }

  #close(end: { readonly error?: unknown }): void {
    this.#end ??= end;
    this.#early.clear();
    if (this.#call) this.#door.closed(this.#call);
    this.#wake();
  }

  #wake(): void {
    if (this.#items.length > 0) return;
    for (const waiter of this.#waiters.splice(0)) this.#ended().then(waiter.resolve, waiter.reject);
  }

  #ended(): Promise<IteratorResult<unknown>> {
    const error = this.#end?.error;
    if (error === undefined) return Promise.resolve({ done: true, value: undefined });
    this.#end = {};
    return Promise.reject(error);
  }
}
