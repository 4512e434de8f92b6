import { CallCancelledError, CallTimeoutError, SiloUnavailableError } from '../errors.ts';
import type { Caller } from '../grain/reference.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import { unpack } from '../serialization/codec.ts';
import type { Outcome, PendingCall } from './pending-call.ts';

/** What a stream needs of the calls of its node. */
export interface StreamDoor {
  /** Sends the call; undefined when it failed at once. */
  start(outcome: Outcome): PendingCall | undefined;
  /** Lets the producer send so many more items. */
  grant(call: PendingCall, items: number, from: NodeAddress | undefined): void;
  cancel(call: PendingCall, error: Error): void;
}

type Waiter = { resolve(result: IteratorResult<unknown>): void; reject(error: unknown): void };

/**
 * The reading end of a stream. The call is sent when the first item is asked for. The producer may be a
 * window of items ahead; each time half of the window has been read, it may send as many more. Leaving the
 * loop early, or an error, ends the producer too.
 */
export class StreamConsumer implements AsyncIterableIterator<unknown>, Outcome {
  readonly #binder: Caller;
  readonly #door: StreamDoor;
  readonly #items: unknown[] = [];
  readonly #waiters: Waiter[] = [];
  #call: PendingCall | undefined;
  #started = false;
  #end: { readonly error?: unknown } | undefined;
  #received = 0;
  #read = 0;
  #from: NodeAddress | undefined;

  constructor(binder: Caller, door: StreamDoor) {
    this.#binder = binder;
    this.#door = door;
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
    this.#end ??= {};
    this.#wake();
  }

  reject(error: unknown): void {
    this.#end ??= { error };
    this.#wake();
  }

  push(index: number, packed: unknown, from: NodeAddress | undefined): void {
    if (this.#end || !this.#call) return;
    this.#from = from;
    if (index !== this.#received) {
      const { target, method } = this.#call;
      const error = new SiloUnavailableError(
        `${target}.${method}: items of the stream were lost; read it anew`,
        { grain: target },
      );
      return this.#door.cancel(this.#call, error);
    }
    this.#received++;
    let value = packed;
    if (from !== undefined && packed instanceof Uint8Array) {
      try {
        value = unpack(packed, this.#binder);
      } catch (error) {
        return this.#door.cancel(this.#call, error as Error);
      }
    }
    const waiter = this.#waiters.shift();
    if (!waiter) return void this.#items.push(value);
    this.#count();
    waiter.resolve({ done: false, value });
  }

  expired(call: PendingCall): void {
    const { target, method } = call;
    const error = new CallTimeoutError(`${target}.${method}: the stream did not end by its deadline`, {
      grain: target,
    });
    this.#door.cancel(call, error);
  }

  #take(): unknown {
    const value = this.#items.shift();
    this.#count();
    return value;
  }

  #count(): void {
    const half = LIMITS.streamWindow / 2;
    if (++this.#read % half === 0 && this.#call && !this.#end) this.#door.grant(this.#call, half, this.#from);
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
