import { InvalidConfigError } from '../errors.ts';
import { checkKnown, checkNumber } from '../grain/checks.ts';
import type { MissedTicks, Reminder, RemindOptions } from '../grain/reminder-options.ts';
import { CronTimes } from './cron.ts';

/**
 * When ticks are due, as pure functions of a schedule and the time. A tick is known by when it was due: of a
 * schedule, that and nothing else is moved on from tick to tick, so neither a slow grain nor a silo that
 * changes makes it drift.
 */
export interface Schedule {
  readonly dueMs?: number;
  readonly at?: number;
  readonly periodMs?: number;
  readonly cron?: string;
  readonly timezone?: string;
  readonly missed: MissedTicks;
}

/** What to do about a tick that is due. */
export interface Plan {
  /** Whether it is made at all. */
  readonly ticks: boolean;
  /** Later ones that are due, too, and that are not made for themselves. */
  readonly missed: number;
  /** When the next one is due; undefined when it was the last. */
  readonly next: number | undefined;
}

const OPTIONS: readonly (keyof RemindOptions)[] = ['dueMs', 'at', 'periodMs', 'cron', 'timezone', 'missed'];
const MISSED: readonly MissedTicks[] = ['once', 'all', 'skip'];
const SHORTEST_MS = 1_000;
/** A hundred years: more is a mistake, and further than dates reach is none. */
const LONGEST_MS = 100 * 366 * 86_400_000;
/** The last time that a `Date` can be. */
const LAST_AT = 8.64e15;
/**
 * How late a tick may be and still be on time: a silo was lost, and others have taken over meanwhile; a silo
 * was started anew.
 */
const ON_TIME_MS = 60_000;
/** Missed ticks of a cron expression are counted up to here: each costs up to 0.1 ms to find. */
const MISSED_CRON = 100;

/** A schedule from what the user gave. Throws `InvalidConfigError`. */
export function checkSchedule(where: string, options: RemindOptions): Schedule {
  if (typeof options !== 'object' || options === null)
    throw new InvalidConfigError(`${where}: say when, as in { dueMs: 60_000 } or { cron: '0 9 * * *' }`);
  checkKnown(where, options, OPTIONS);
  const { dueMs, at, periodMs, cron, timezone, missed = 'once' } = options;
  const refuse = (why: string) => {
    throw new InvalidConfigError(`${where}: ${why}`);
  };
  if (dueMs !== undefined && at !== undefined) refuse('dueMs and at both say when it begins; give one');
  if (cron !== undefined && (dueMs ?? at ?? periodMs) !== undefined)
    refuse('cron says when all ticks are due; leave out dueMs, at and periodMs');
  if ((cron ?? dueMs ?? at ?? periodMs) === undefined)
    refuse('it says nothing of when; give dueMs, at, periodMs or cron');
  if (timezone !== undefined && cron === undefined) refuse('a timezone goes with cron only');
  if (!MISSED.includes(missed)) refuse(`missed is ${String(missed)}; it must be 'once', 'all' or 'skip'`);
  checkNumber(where, 'dueMs', dueMs, 0, LONGEST_MS);
  checkNumber(where, 'periodMs', periodMs, SHORTEST_MS, LONGEST_MS);
  const time = at instanceof Date ? at.getTime() : at;
  if (time !== undefined && !(Math.abs(time) <= LAST_AT && typeof time === 'number'))
    refuse(`at is ${String(at)}; it must be a valid Date, or milliseconds since 1970`);
  if (cron !== undefined) checkCron(where, cron, timezone ?? 'UTC');
  return {
    ...(dueMs !== undefined && { dueMs: Math.round(dueMs) }),
    ...(time !== undefined && { at: Math.round(time) }),
    ...(periodMs !== undefined && { periodMs: Math.round(periodMs) }),
    ...(cron !== undefined && { cron, timezone: timezone ?? 'UTC' }),
    missed,
  };
}

function checkCron(where: string, cron: unknown, timezone: unknown): void {
  if (typeof cron !== 'string' || typeof timezone !== 'string')
    throw new InvalidConfigError(`${where}: cron and timezone are texts`);
  if (!isTimezone(timezone))
    throw new InvalidConfigError(
      `${where}: '${timezone}' is no time zone; use a name such as 'Europe/Berlin'`,
    );
  let isEver: boolean;
  try {
    isEver = CronTimes.of(cron, timezone).isEver;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new InvalidConfigError(`${where}: cron '${cron}' in ${timezone}: ${why}`, { cause });
  }
  if (!isEver) throw new InvalidConfigError(`${where}: cron '${cron}' names no time at all`);
}

/** Asked by itself, since a cron library's word for it is about the library. */
function isTimezone(timezone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: timezone });
    return true;
  } catch {
    return false;
  }
}

/** A schedule as it is stored; equal schedules give equal texts. */
export function scheduleText({ dueMs, at, periodMs, cron, timezone, missed }: Schedule): string {
  return JSON.stringify({ dueMs, at, periodMs, cron, timezone, missed });
}

/** Reads what `scheduleText` wrote. Throws when it is something else, as a later version may write. */
export function parseSchedule(text: string): Schedule {
  const schedule = JSON.parse(text) as Schedule;
  checkKnown('the stored schedule', schedule, OPTIONS);
  if (MISSED.includes(schedule.missed)) return schedule;
  throw new Error(`the stored schedule says '${String(schedule.missed)}' of ticks that were missed`);
}

export function repeats({ periodMs, cron }: Schedule): boolean {
  return (periodMs ?? cron) !== undefined;
}

/** When the first tick is due; undefined when there is none. */
export function firstDue(schedule: Schedule, now: number): number | undefined {
  const { dueMs, at, periodMs, cron } = schedule;
  if (cron !== undefined) return nextDue(schedule, now);
  return at ?? now + (dueMs ?? periodMs ?? 0);
}

/** What to do at `now` about the tick that is due at `dueAt`, which is past. */
export function planTick(schedule: Schedule, dueAt: number, now: number): Plan {
  const next = nextDue(schedule, dueAt);
  const { missed } = schedule;
  if (missed === 'skip') {
    const isLate = now - dueAt > ON_TIME_MS || (next !== undefined && next <= now);
    if (isLate) return { ticks: false, ...passOver(schedule, dueAt, now) };
  }
  if (missed !== 'once') return { ticks: true, missed: 0, next };
  return { ticks: true, ...passOver(schedule, dueAt, now) };
}

/** What follows upon a tick that was made before, and stood for so many that were missed. */
export function planAfter(schedule: Schedule, dueAt: number, missed: number): Plan {
  const { periodMs } = schedule;
  if (periodMs !== undefined) return { ticks: true, missed, next: dueAt + (missed + 1) * periodMs };
  let next = nextDue(schedule, dueAt);
  for (let passed = 0; passed < missed && next !== undefined; passed++) next = nextDue(schedule, next);
  return { ticks: true, missed, next };
}

/** How many ticks after that of `dueAt` are due by `now`, and the first that is not. */
function passOver(
  schedule: Schedule,
  dueAt: number,
  now: number,
): { missed: number; next: number | undefined } {
  const { periodMs, cron } = schedule;
  if (periodMs !== undefined) {
    const missed = Math.max(0, Math.floor((now - dueAt) / periodMs));
    return { missed, next: dueAt + (missed + 1) * periodMs };
  }
  if (cron === undefined) return { missed: 0, next: undefined };
  let next = nextDue(schedule, dueAt);
  let missed = 0;
  while (next !== undefined && next <= now) {
    if (++missed === MISSED_CRON) return { missed, next: nextDue(schedule, now) };
    next = nextDue(schedule, next);
  }
  return { missed, next };
}

function nextDue({ periodMs, cron, timezone = 'UTC' }: Schedule, after: number): number | undefined {
  if (cron !== undefined) return CronTimes.of(cron, timezone).after(after);
  return periodMs === undefined ? undefined : after + periodMs;
}

/** What the user sees of a reminder. */
export function reminderOf(name: string, nextAt: number, schedule: Schedule): Reminder {
  const { periodMs, cron, timezone, missed } = schedule;
  return { name, nextAt, periodMs, cron, timezone, missed };
}
