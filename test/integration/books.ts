import { machineNow } from '../support/machine-clock.ts';
import type { Answer } from './programs/grains.ts';

/** One call as its caller saw it. Times are `machineNow`. */
export interface Success extends Answer {
  readonly key: string;
  readonly startedAt: number;
  readonly at: number;
}

/** What a caller was told when it only asked. */
export interface Reading {
  readonly key: string;
  readonly count: number;
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

/** The books of a load on counters: which increments were acknowledged, which failed, what was read. */
export class Books {
  readonly failures: Failure[] = [];
  readonly reads: Reading[] = [];
  readonly #answers: Map<string, Success[]>;
  readonly #failed = new Map<string, number>();
  readonly #waiters = new Set<() => void>();

  constructor(keys: readonly string[]) {
    this.#answers = new Map(keys.map((key) => [key, []]));
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

  enter(call: Success | Failure): void {
    if ('code' in call) {
      this.#failed.set(call.key, this.unknown(call.key) + 1);
      this.failures.push(call);
    } else this.#answers.get(call.key)?.push(call);
    for (const waiter of [...this.#waiters]) waiter();
  }

  /** Resolves when the condition holds; asks after every call. */
  async until(condition: () => boolean, timeoutMs = 30_000): Promise<void> {
    const deadline = machineNow() + timeoutMs;
    while (!condition()) {
      if (machineNow() > deadline) throw new Error(`not so after ${timeoutMs} ms: ${this.#summary()}`);
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

  /** Resolves when every key has been answered by a call made after `since`; with when the last was. */
  async untilAllAnswered(since = machineNow(), timeoutMs = 30_000): Promise<number> {
    await this.until(
      () => this.keys.every((key) => (this.answers(key).at(-1)?.startedAt ?? 0) > since),
      timeoutMs,
    );
    const first = (key: string) => this.answers(key).find(({ startedAt }) => startedAt > since)?.at ?? 0;
    return Math.max(...this.keys.map(first));
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

  #summary(): string {
    const last = this.failures.slice(-3).map(({ key, message }) => `${key}: ${message}`);
    return `${this.calls} calls, ${this.failures.length} failed; ${last.join('; ')}`;
  }
}
