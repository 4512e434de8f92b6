/** What `@reminder(name, …)` takes. */
export interface ReminderOptions {
  /** How long a tick may take, waiting for its turn included, before it counts as failed. Default 30 s. */
  readonly timeoutMs?: number;
}

/** What a method with `@reminder()` is called with. */
export interface ReminderTick {
  /** The reminder's name. */
  readonly name: string;
  /** When this tick was due, in wall-clock milliseconds; the same again when the tick is repeated. */
  readonly scheduledAt: number;
  /** Later ticks that were due by now, too, and that this one stands for. */
  readonly missed: number;
}

/**
 * What becomes of ticks for which nobody was there in time. `'once'`: one tick stands for all of them.
 * `'all'`: each is made up for, in order. `'skip'`: none is, it goes on at the next regular time.
 */
export type MissedTicks = 'once' | 'all' | 'skip';

/**
 * What `context.remind(name, …)` takes: when the first tick is (`dueMs`, `at`), and what follows
 * (`periodMs`), or a `cron` expression, which says both. Times are wall-clock times.
 */
export interface RemindOptions {
  /** Milliseconds until the first tick. Default, with `periodMs`: one period. */
  readonly dueMs?: number;
  /** When the first tick is due, instead of `dueMs`. What is past is due at once. */
  readonly at?: number | Date;
  /**
   * Milliseconds from one tick to the next, 1,000 or more, counted from when it was due: it does not drift.
   */
  readonly periodMs?: number;
  /** Five fields, or six with seconds in front: `'0 9 * * 1-5'`. */
  readonly cron?: string;
  /** The time zone of `cron`, as in `'Europe/Berlin'`. Default `'UTC'`. */
  readonly timezone?: string;
  /** Default `'once'`. */
  readonly missed?: MissedTicks;
}

/** A reminder that is set. */
export interface Reminder {
  readonly name: string;
  /** When its next tick is due, in wall-clock milliseconds. */
  readonly nextAt: number;
  /** Undefined when it comes once, or by `cron`. */
  readonly periodMs: number | undefined;
  readonly cron: string | undefined;
  readonly timezone: string | undefined;
  readonly missed: MissedTicks;
}
