import { InvalidConfigError } from '../errors.ts';
import { checkKnown } from './checks.ts';

export interface MapGrainsOptions {
  /** Calls under way at once. Default 100. */
  readonly concurrency?: number;
  /** When it aborts, nothing more is started; what has been started is waited for. */
  readonly signal?: AbortSignal;
}

/** What became of one of the references: a value, or an error. `'error' in item` tells them apart. */
export type Mapped<R, V> =
  | { readonly ref: R; readonly value: V }
  | { readonly ref: R; readonly error: unknown };

const OPTIONS: readonly (keyof MapGrainsOptions)[] = ['concurrency', 'signal'];
const CONCURRENCY = 100;

/**
 * Calls many grains, a bounded number at once: `await mapGrains(accounts, (account) => account.balance())`.
 * Resolves to one item for each reference that it started on, in their order; that one fails does not touch
 * the others. References are taken as there is room for them, so an async iterable may be as long as it
 * likes.
 *
 * In a grain, the calls belong to the turn that runs: its deadline is theirs. Rejects only with
 * `InvalidConfigError`, and, after what was started has ended, with what the iterable itself throws.
 */
export async function mapGrains<R, V>(
  refs: Iterable<R> | AsyncIterable<R>,
  fn: (ref: R, index: number) => V | PromiseLike<V>,
  options: MapGrainsOptions = {},
): Promise<Mapped<R, V>[]> {
  checkKnown('mapGrains', options, OPTIONS);
  const { concurrency = CONCURRENCY, signal } = options;
  if (!Number.isSafeInteger(concurrency) || concurrency < 1) {
    const text = `mapGrains: concurrency is ${concurrency}; it must be a whole number from 1`;
    throw new InvalidConfigError(text);
  }
  if (!isIterable(refs))
    throw new InvalidConfigError('mapGrains: the references are no iterable; pass a list');
  if (typeof fn !== 'function')
    throw new InvalidConfigError(
      'mapGrains: say what to call; pass (ref) => ref.method() after the references',
    );
  const mapping = new Mapping<R, V>(refs, signal);
  await mapping.run(async (ref, index) => await fn(ref, index), concurrency);
  return mapping.items;
}

function isIterable(refs: unknown): boolean {
  const { [Symbol.iterator]: plain, [Symbol.asyncIterator]: async } = Object(refs) as Partial<
    Iterable<unknown> & AsyncIterable<unknown>
  >;
  return typeof (plain ?? async) === 'function';
}

type Arrival<R> = { readonly result: IteratorResult<R> } | { readonly failure: unknown };

class Mapping<R, V> {
  readonly items: Mapped<R, V>[] = [];
  readonly #source: Iterator<R> | AsyncIterator<R>;
  readonly #signal: AbortSignal | undefined;
  #running = 0;
  /** Something has ended, has arrived, or was aborted. */
  #wake: () => void = () => {};

  constructor(refs: Iterable<R> | AsyncIterable<R>, signal: AbortSignal | undefined) {
    // Not all that can be iterated is an object: a text can.
    const isAsync = Symbol.asyncIterator in Object(refs);
    this.#source = isAsync
      ? (refs as AsyncIterable<R>)[Symbol.asyncIterator]()
      : (refs as Iterable<R>)[Symbol.iterator]();
    this.#signal = signal;
  }

  async run(call: (ref: R, index: number) => Promise<V>, concurrency: number): Promise<void> {
    const abort = () => this.#wake();
    this.#signal?.addEventListener('abort', abort);
    try {
      for (let index = 0; ; index++) {
        await this.#until(() => this.#running < concurrency || this.#isAborted);
        const next = await this.#next();
        if (!next || next.done) return;
        void this.#start(next.value, index, call);
      }
    } finally {
      this.#signal?.removeEventListener('abort', abort);
      await this.#until(() => this.#running === 0);
    }
  }

  get #isAborted(): boolean {
    return this.#signal?.aborted === true;
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The next reference; undefined when it is aborted before it has come. */
  async #next(): Promise<IteratorResult<R> | undefined> {
    if (this.#isAborted) {
      await this.#source.return?.();
      return undefined;
    }
    let arrival: Arrival<R> | undefined;
    const arrived = (what: Arrival<R>) => {
      arrival = what;
      this.#wake();
    };
    Promise.resolve(this.#source.next()).then(
      (result) => arrived({ result }),
      (failure) => arrived({ failure }),
    );
    await this.#until(() => arrival !== undefined || this.#isAborted);
    return this.#taken(arrival);
  }

  #taken(arrival: Arrival<R> | undefined): IteratorResult<R> | undefined {
    if (arrival && 'failure' in arrival) throw arrival.failure;
    if (arrival && !this.#isAborted) return arrival.result;
    // Whoever waits for a reference that may never come cannot be waited for; nor is there anybody to tell.
    Promise.resolve(this.#source.return?.()).catch(() => {});
    return undefined;
  }

  async #start(ref: R, index: number, call: (ref: R, index: number) => Promise<V>): Promise<void> {
    this.#running++;
    try {
      this.items[index] = { ref, value: await call(ref, index) };
    } catch (error) {
      this.items[index] = { ref, error };
    }
    this.#running--;
    this.#wake();
  }
}
