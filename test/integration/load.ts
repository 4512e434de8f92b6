import { setTimeout as wait } from 'node:timers/promises';
import { type Client, GranaryError } from 'granary';
import { type Answer, Counter } from './programs/grains.ts';

/** One call as its caller saw it. Times are the test's `performance.now()`. */
export interface Success extends Answer {
  readonly startedAt: number;
  readonly at: number;
}

export interface Failure {
  readonly key: string;
  readonly code: string;
  readonly retryable: boolean;
  readonly message: string;
  readonly startedAt: number;
  readonly at: number;
}

/** Between a caller's calls: the machine is shared, and a test measures recovery, not throughput. */
const PAUSE_MS = 10;

/**
 * Increments counters through a client, one caller for each key, one call at a time, and keeps the books:
 * what was acknowledged, and what failed.
 */
export class Load {
  readonly failures: Failure[] = [];
  readonly #client: Client;
  readonly #answers = new Map<string, Success[]>();
  readonly #failed = new Map<string, number>();
  readonly #waiters = new Set<() => void>();
  readonly #callers: Promise<void>[];
  #stopped = false;

  constructor(client: Client, keys: readonly string[]) {
    this.#client = client;
    for (const key of keys) this.#answers.set(key, []);
    this.#callers = keys.map((key) => this.#call(key));
  }

  get keys(): string[] {
    return [...this.#answers.keys()];
  }

  get calls(): number {
    return [...this.#answers.values()].reduce((sum, answers) => sum + answers.length, this.failures.length);
  }

  /** All answers for a key, in order. */
  answers(key: string): readonly Success[] {
    return this.#answers.get(key) ?? [];
  }

  acknowledged(key: string): number {
    return this.answers(key).length;
  }

  /** Calls for a key that failed: each may have run or not. */
  unknown(key: string): number {
    return this.#failed.get(key) ?? 0;
  }

  /** The silo that answered last for a key. */
  place(key: string): string | undefined {
    return this.answers(key).at(-1)?.silo;
  }

  /** What the counter says now. */
  async read(key: string): Promise<number> {
    return (await this.#client.grain(Counter, key).read()).count;
  }

  /** Resolves when the condition holds; asks after every call. */
  async until(condition: () => boolean, timeoutMs = 30_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!condition()) {
      if (performance.now() > deadline) throw new Error(`not so after ${timeoutMs} ms: ${this.#summary()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, 100);
        const waiters = this.#waiters;
        function done() {
          clearTimeout(timer);
          waiters.delete(done);
          resolve();
        }
        waiters.add(done);
      });
    }
  }

  /** Resolves when every key has been answered after `since`. */
  untilAllAnswered(since = performance.now(), timeoutMs = 30_000): Promise<void> {
    return this.until(
      () => this.keys.every((key) => (this.answers(key).at(-1)?.startedAt ?? 0) > since),
      timeoutMs,
    );
  }

  /**
   * Resolves when each key has been answered elsewhere than on the silo that was lost; with how long that
   * took, the shortest first.
   */
  async recovery(keys: readonly string[], lost: string, since: number): Promise<number[]> {
    const first = (key: string) => this.answers(key).find(({ silo, at }) => silo !== lost && at > since);
    await this.until(() => keys.every(first));
    return keys.map((key) => (first(key)?.at ?? 0) - since).sort((a, b) => a - b);
  }

  /** No more calls; resolves when the last has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#callers);
  }

  async #call(key: string): Promise<void> {
    const counter = this.#client.grain(Counter, key);
    while (!this.#stopped) {
      const startedAt = performance.now();
      try {
        const answer = await counter.increment();
        this.#answers.get(key)?.push({ ...answer, startedAt, at: performance.now() });
      } catch (error) {
        this.#failed.set(key, this.unknown(key) + 1);
        this.failures.push({ ...describe(error), key, startedAt, at: performance.now() });
      }
      for (const waiter of [...this.#waiters]) waiter();
      await wait(PAUSE_MS);
    }
  }

  #summary(): string {
    const last = this.failures.slice(-3).map(({ key, message }) => `${key}: ${message}`);
    return `${this.calls} calls, ${this.failures.length} failed; ${last.join('; ')}`;
  }
}

function describe(error: unknown): { code: string; retryable: boolean; message: string } {
  const { message } = error as Error;
  if (error instanceof GranaryError) return { code: error.code, retryable: error.retryable, message };
  return { code: 'UNNAMED', retryable: false, message: String((error as Error).stack) };
}
