const END: IteratorReturnResult<undefined> = Object.freeze({ done: true, value: undefined });

/**
 * The items of a stream that it takes time to come by: it is opened when the first one is asked for. Not an
 * async generator, since one that waits for an item cannot be left before that has come.
 */
export class LateIterator implements AsyncIterableIterator<unknown> {
  readonly #what: string;
  readonly #open: () => Promise<unknown>;
  #items: Promise<AsyncIterator<unknown>> | undefined;
  #left = false;

  /** `what`: the stream's name, for the error when what `open` gives is none. */
  constructor(what: string, open: () => Promise<unknown>) {
    this.#what = what;
    this.#open = open;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<unknown>> {
    if (this.#left) return END;
    this.#items ??= this.#open().then((items) => iteratorOf(items, this.#what));
    const items = await this.#items;
    return this.#left ? END : items.next();
  }

  async return(): Promise<IteratorResult<unknown>> {
    this.#left = true;
    // What could not be opened has told so already, and needs no closing.
    const items = await this.#items?.catch(() => undefined);
    await items?.return?.();
    return END;
  }
}

/** Throws `TypeError` for what is no stream. */
export function iteratorOf(items: unknown, what: string): AsyncIterator<unknown> {
  const open = (items as Partial<AsyncIterable<unknown>> | null | undefined)?.[Symbol.asyncIterator];
  if (typeof open === 'function') return open.call(items);
  throw new TypeError(`${what} is a stream; an interceptor must give an AsyncIterable, such as next() gives`);
}
