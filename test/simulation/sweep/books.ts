import { GranaryError } from 'granary';
import {
  checkLinearizable,
  type Operation,
  type RegisterInput,
  type RegisterOutput,
  registerModel,
} from 'granary/testing';

type RegisterOperation = Operation<RegisterInput<number>, RegisterOutput<number>>;

/** The call did not run. */
const NOT_RUN: ReadonlySet<string> = new Set(['NO_SILO', 'OVERLOADED', 'STATE_CONFLICT', 'DEADLOCK']);
/** Errors that a caller must expect while there is trouble. */
const EXPECTED: ReadonlySet<string> = new Set([
  ...NOT_RUN,
  ...['CALL_TIMEOUT', 'SILO_UNAVAILABLE', 'STORE_FAILED', 'CALL_CANCELLED', 'ACTIVATION_FAILED'],
]);

/** Where silos only join, and leave in order, no call fails but one that waits for itself. */
const EXPECTED_IN_ORDER: ReadonlySet<string> = new Set(['DEADLOCK']);

/** What the callers of a story were told, to be compared with what is true in the end. */
export class Books {
  readonly #expected: ReadonlySet<string>;
  /** Calls and returns, numbered: what happens in the same millisecond still has an order. */
  #moments = 0;
  readonly #operations: RegisterOperation[] = [];
  readonly #tallies = new Map<string, { acknowledged: Set<number>; unknown: number; entries: Set<string> }>();
  readonly failures = new Map<string, number>();
  answered = 0;

  constructor(inOrder: boolean) {
    this.#expected = inOrder ? EXPECTED_IN_ORDER : EXPECTED;
  }

  /** One operation on a register. */
  async register(
    caller: string,
    key: string,
    input: RegisterInput<number>,
    act: () => Promise<RegisterOutput<number>>,
  ): Promise<void> {
    const invokedAt = ++this.#moments;
    const book = (returned: RegisterOperation['returned']) =>
      this.#operations.push({ caller, key, input, invokedAt, returned });
    const outcome = await this.attempt(act);
    if ('value' in outcome) book({ at: ++this.#moments, output: outcome.value });
    else if (!NOT_RUN.has(outcome.code) && input.type !== 'read') book(undefined);
  }

  async tally(key: string, act: () => Promise<number>): Promise<void> {
    const tally = this.#tally(key);
    const outcome = await this.attempt(act);
    if ('value' in outcome) {
      if (tally.acknowledged.has(outcome.value))
        throw new Error(`${key}: ${outcome.value} was acknowledged twice`);
      tally.acknowledged.add(outcome.value);
    } else if (!NOT_RUN.has(outcome.code)) tally.unknown++;
  }

  async entry(key: string, entry: string, act: () => Promise<void>): Promise<void> {
    if ('value' in (await this.attempt(act))) this.#tally(key).entries.add(entry);
  }

  /** The outcome of a call. Throws when it failed as it should not. */
  attempt<T>(act: () => Promise<T>): Promise<{ value: T } | { code: string }> {
    return this.#outcome(act, this.#expected);
  }

  /** The same for what may fail in a cluster in order, too: it is cut short, or ends with its silo. */
  risk<T>(act: () => Promise<T>): Promise<{ value: T } | { code: string }> {
    return this.#outcome(act, EXPECTED);
  }

  async #outcome<T>(
    act: () => Promise<T>,
    expected: ReadonlySet<string>,
  ): Promise<{ value: T } | { code: string }> {
    try {
      const value = await act();
      this.answered++;
      return { value };
    } catch (error) {
      const code = error instanceof GranaryError ? error.code : '';
      if (!expected.has(code)) throw error;
      this.failures.set(code, (this.failures.get(code) ?? 0) + 1);
      return { code };
    }
  }

  /** What the story itself may have done to a tally without being told. */
  uncertain(key: string): void {
    this.#tally(key).unknown++;
  }

  tallies(): string[] {
    return [...this.#tallies.keys()];
  }

  /** Throws when a tally's stored state contradicts what was acknowledged. */
  checkTally(key: string, stored: { readonly count: number; readonly entries: readonly string[] }): void {
    const { acknowledged, unknown, entries } = this.#tally(key);
    const wrong = (text: string) => {
      throw new Error(`${key}: ${text}`);
    };
    const highest = Math.max(0, ...acknowledged);
    if (stored.count < highest) wrong(`${stored.count} is stored, ${highest} was acknowledged`);
    if (stored.count > acknowledged.size + unknown) {
      wrong(`${stored.count} stored, ${acknowledged.size} acknowledged and ${unknown} of unknown outcome`);
    }
    if (new Set(stored.entries).size < stored.entries.length)
      wrong(`an entry is there twice: ${stored.entries}`);
    for (const entry of entries)
      if (!stored.entries.includes(entry)) wrong(`entry ${entry} was acknowledged, and is lost`);
  }

  /** Throws when no order of the operations on some register explains what was answered. */
  checkRegisters(): void {
    const result = checkLinearizable(registerModel(0), this.#operations);
    if (result.linearizable === false) throw new Error(`not linearizable: ${result.explanation}`);
  }

  #tally(key: string) {
    let tally = this.#tallies.get(key);
    if (!tally) {
      tally = { acknowledged: new Set(), unknown: 0, entries: new Set() };
      this.#tallies.set(key, tally);
    }
    return tally;
  }
}
