import { GranaryError } from '../errors.ts';
import { tickMethod } from '../grain/check-reminders.ts';
import type { GrainType } from '../grain/grain-type.ts';
import type { Caller } from '../grain/reference.ts';
import type { ReminderTick } from '../grain/reminder-options.ts';
import { LIMITS } from '../limits.ts';
import type { RuntimeEvents } from '../observability/events.ts';
import type { StoredReminder } from '../storage/reminder-store.ts';
import type { Clock } from '../system/clock.ts';
import type { Random } from '../system/random.ts';
import type { Made } from './due-queue.ts';
import { grainOf } from './reminder-id.ts';
import { type Plan, parseSchedule, planAfter, planTick } from './schedule.ts';

export interface TickDoors {
  readonly clock: Clock;
  readonly random: Random;
  readonly events: RuntimeEvents;
  readonly caller: Caller;
  readonly types: ReadonlyMap<string, GrainType>;
}

/**
 * How long a tick may take when its class says nothing else. A grain that takes longer is asked again, and
 * says at once that it has made it, when it has.
 */
const TICK_MS = 30_000;
/** Before a tick that has failed is made again: twice as long each time, up to the longest. */
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;
/** When it is the cluster that fails, not the grain: as late as the tick is by then, up to the longest. */
const LONGEST_OUTAGE_MS = 10_000;
/** When no silo has the class or the method: that is for people to correct. */
const LONGEST_MISSING_MS = 600_000;

const MISSING: ReadonlySet<string> = new Set(['GRAIN_TYPE_NOT_FOUND', 'METHOD_NOT_FOUND']);

/**
 * Makes one tick: calls the grain, and says what the store is to be told. Undefined when nothing: the
 * reminder was forgotten, is another by now, or has been moved on already. Never rejects.
 */
export async function makeTick(reminder: StoredReminder, doors: TickDoors): Promise<Made | undefined> {
  const { clock, events } = doors;
  const { dueAt, name } = reminder;
  let plan: Plan | undefined;
  try {
    const schedule = parseSchedule(reminder.schedule);
    plan = planTick(schedule, dueAt, clock.wallNow());
    const { missed } = plan;
    if (plan.ticks) {
      const stoodFor = await call(reminder, missed, doors);
      if (stoodFor === undefined) return undefined;
      if (stoodFor !== missed) plan = planAfter(schedule, dueAt, stoodFor);
    } else {
      const grain = grainOf(reminder);
      events.publish({ type: 'reminderSkipped', grain, reminder: name, scheduledAt: dueAt, missed });
    }
  } catch (error) {
    return failed(reminder, plan, error, doors);
  }
  return moveOn(plan);
}

/**
 * How many missed ticks this one stood for, which may have been made for another silo before; undefined when
 * the grain does not wait for it.
 */
async function call(
  reminder: StoredReminder,
  missed: number,
  { caller, types }: TickDoors,
): Promise<number | undefined> {
  const { name, dueAt: scheduledAt, registration, type } = reminder;
  const tick: ReminderTick = { name, scheduledAt, missed };
  const timeoutMs = types.get(type)?.reminders.get(name)?.timeoutMs ?? TICK_MS;
  const target = grainOf(reminder);
  const args = [registration, tick];
  const options = { timeoutMs };
  const made = await caller.invoke({ target, method: tickMethod(name), spec: undefined, args, options });
  return typeof made === 'number' ? made : undefined;
}

function moveOn({ next }: Plan): Made {
  return { next: next === undefined ? undefined : { dueAt: next, wakeAt: next, failures: 0 } };
}

/**
 * A tick that its grain fails again and again is given up in the end, or it would be repeated for ever. What
 * is not the grain's fault does not count: a lost silo or store must not lose a tick, nor a deployment that
 * lacks a class.
 */
function failed(
  reminder: StoredReminder,
  plan: Plan | undefined,
  error: unknown,
  { clock, random, events }: TickDoors,
): Made {
  const { name, dueAt } = reminder;
  const grain = grainOf(reminder);
  const missing = isMissing(error, grain) || plan === undefined;
  const counts = !missing && !isOutage(error);
  const failures = reminder.failures + (counts ? 1 : 0);
  const givenUp = counts && failures >= LIMITS.reminderAttempts;
  const lateMs = Math.max(FIRST_RETRY_MS, clock.wallNow() - dueAt);
  const delayMs = counts
    ? Math.min(FIRST_RETRY_MS * 2 ** reminder.failures, LONGEST_RETRY_MS)
    : Math.min(lateMs, missing ? LONGEST_MISSING_MS : LONGEST_OUTAGE_MS);
  // Not all at the same moment, of those that one outage has hit.
  const retryInMs = givenUp ? undefined : Math.ceil(delayMs * (0.75 + random.next() / 2));
  const tick = { reminder: name, scheduledAt: dueAt, failures };
  events.publish({ type: 'reminderFailed', grain, ...tick, retryInMs, error });
  if (retryInMs === undefined) return moveOn(plan as Plan);
  return { next: { dueAt, wakeAt: clock.wallNow() + retryInMs, failures } };
}

function isMissing(error: unknown, grain: string): boolean {
  return error instanceof GranaryError && MISSING.has(error.code) && error.grain === grain;
}

/** A tick that ran out of time counts: it may have run, and may always take as long. */
function isOutage(error: unknown): boolean {
  return error instanceof GranaryError && error.retryable && error.code !== 'CALL_TIMEOUT';
}
