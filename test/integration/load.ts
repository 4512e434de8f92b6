import { setTimeout as wait } from 'node:timers/promises';
import { type Client, GranaryError } from 'granary';
import { machineNow } from '../support/machine-clock.ts';
import { Books, type Failure, type Success } from './books.ts';
import { Counter } from './programs/grains.ts';

/**
 * Between a caller's calls: the machine is shared, a test measures recovery, not throughput, and every call
 * makes a history longer.
 */
const PAUSE_MS = 20;

/** Of the counters, so many are read by another caller meanwhile. */
const READ_EVERY = 4;

/**
 * Increments counters through a client, one caller for each key, one call at a time, and keeps the books of
 * it.
 */
export class Load extends Books {
  readonly #client: Client;
  readonly #entered: (call: Success | Failure) => void;
  readonly #callers: Promise<void>[];
  readonly #readers: Promise<void>[];
  #stopped = false;

  constructor(
    client: Client,
    keys: readonly string[],
    entered: (call: Success | Failure) => void = () => {},
  ) {
    super(keys);
    this.#client = client;
    this.#entered = entered;
    this.#callers = keys.map((key) => this.#call(key));
    this.#readers = keys.filter((_, index) => index % READ_EVERY === 0).map((key) => this.#readAgain(key));
  }

  /** What the counter says now. */
  async read(key: string): Promise<number> {
    return (await this.#client.grain(Counter, key).read()).count;
  }

  /** No more calls; resolves when the last has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#callers, ...this.#readers]);
  }

  async #call(key: string): Promise<void> {
    const counter = this.#client.grain(Counter, key);
    while (!this.#stopped) {
      const startedAt = machineNow();
      const outcome = await counter.increment().catch(describe);
      const call = { ...outcome, key, startedAt, at: machineNow() };
      this.enter(call);
      this.#entered(call);
      await wait(PAUSE_MS);
    }
  }

  async #readAgain(key: string): Promise<void> {
    while (!this.#stopped) {
      const startedAt = machineNow();
      const count = await this.read(key).catch(() => undefined); // The increments tell of failures.
      if (count !== undefined) this.reads.push({ key, count, startedAt, at: machineNow() });
      await wait(PAUSE_MS);
    }
  }
}

function describe(error: unknown): { code: string; retryable: boolean; message: string } {
  const { message } = error as Error;
  if (error instanceof GranaryError) return { code: error.code, retryable: error.retryable, message };
  return { code: 'UNNAMED', retryable: false, message: String((error as Error).stack) };
}
