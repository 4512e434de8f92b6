import { InvalidConfigError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { checkKnown, checkNumber } from './checks.ts';
import type { TimerOptions, TimerSchedule } from './grain-timer.ts';

const SCHEDULE_OPTIONS: readonly (keyof TimerSchedule)[] = ['dueMs', 'periodMs'];
const TIMER_OPTIONS: readonly (keyof TimerOptions)[] = [...SCHEDULE_OPTIONS, 'interleave', 'keepAlive'];

/** Checks what `context.timer` was given. Throws `InvalidConfigError`. */
export function checkTimer(where: string, name: unknown, options: TimerOptions, callback: unknown): void {
  if (name !== undefined) checkName(where, name);
  if (typeof callback !== 'function')
    throw new InvalidConfigError(`${where}: the last argument is what a tick does; it must be a function`);
  checkSchedule(where, options, TIMER_OPTIONS);
  for (const flag of ['interleave', 'keepAlive'] as const) {
    const value: unknown = options[flag];
    if (value === undefined || typeof value === 'boolean') continue;
    throw new InvalidConfigError(`${where}: ${flag} is ${String(value)}; it must be true or false`);
  }
}

/** Throws `InvalidConfigError`. */
export function checkSchedule(
  where: string,
  schedule: TimerSchedule,
  known: readonly string[] = SCHEDULE_OPTIONS,
): void {
  if (typeof schedule !== 'object' || schedule === null) {
    throw new InvalidConfigError(`${where}: say when it ticks: { dueMs, periodMs }, one of them or both`);
  }
  checkKnown(where, schedule, known);
  checkNumber(where, 'dueMs', schedule.dueMs, 0, LIMITS.timerMs);
  checkNumber(where, 'periodMs', schedule.periodMs, 1, LIMITS.timerMs);
  if (schedule.dueMs === undefined && schedule.periodMs === undefined) {
    throw new InvalidConfigError(`${where}: it would never tick; give it dueMs, periodMs or both`);
  }
}

function checkName(where: string, name: unknown): void {
  if (typeof name === 'string' && name.length > 0 && name.length <= LIMITS.nameChars) return;
  throw new InvalidConfigError(`${where}: a timer's name is a text of 1 to ${LIMITS.nameChars} characters`);
}
