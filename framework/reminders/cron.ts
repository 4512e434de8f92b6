import { createRequire } from 'node:module';
import type { Cron } from 'croner';

/**
 * Expressions that are kept parsed. A program uses a few; one that makes them up must not fill the memory.
 */
const KEPT = 1_000;
const FIELDS = /^\s*\S+(?:\s+\S+){4,5}\s*$/;

const kept = new Map<string, CronTimes>();

/**
 * The times of a cron expression in a time zone, by the library `croner`, which is asked for the next time
 * after a given one and never looks at a clock. It is loaded with the first expression.
 *
 * Where clocks are set forward, a local time that does not exist is taken at the next one that does; where
 * they are set back, a fixed local time comes once, and `*` and steps go on with every minute that passes.
 */
export class CronTimes {
  /** Whether there is any time at all: the 31st of February is none. */
  readonly isEver: boolean;
  readonly #cron: Cron;
  /**
   * The last answer: whoever asks from a time in between gets the same. Of a hundred thousand reminders with
   * one expression, one pays for it.
   */
  #from = Number.POSITIVE_INFINITY;
  #next = Number.NEGATIVE_INFINITY;

  constructor(expression: string, timezone: string) {
    if (!FIELDS.test(expression)) throw new Error('it needs five fields, or six with seconds in front');
    const { Cron: Library } = createRequire(import.meta.url)('croner') as typeof import('croner');
    this.#cron = new Library(expression, { timezone });
    this.isEver = this.#cron.nextRun(new Date(0)) !== null; // a time zone is looked at here only
  }

  /** The one of this expression. Throws when it is none, or the time zone is not known. */
  static of(expression: string, timezone: string): CronTimes {
    const key = `${timezone} ${expression}`;
    let times = kept.get(key);
    if (!times) {
      times = new CronTimes(expression, timezone);
      if (kept.size >= KEPT) kept.clear();
      kept.set(key, times);
    }
    return times;
  }

  /** The first time after `from`; undefined when there is none. */
  after(from: number): number | undefined {
    if (from >= this.#from && from < this.#next) return this.#next;
    const next = this.#cron.nextRun(new Date(from))?.getTime();
    if (next === undefined) return undefined;
    this.#from = from;
    this.#next = next;
    return next;
  }
}
