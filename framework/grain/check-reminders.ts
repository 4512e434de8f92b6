import { InvalidConfigError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { checkKnown, checkNumber, propertyAlong } from './checks.ts';
import { Grain, type GrainClass, TICK_MEMBER } from './grain.ts';
import type { MethodSpec } from './grain-type.ts';
import type { MemberRecord } from './metadata.ts';
import type { ReminderOptions } from './reminder-options.ts';

/** What `@reminder()` records. */
export interface ReminderRecord extends ReminderOptions {
  readonly name?: string | undefined;
}

const OPTIONS: readonly string[] = ['name', 'timeoutMs'];
const GENERATOR = Object.getPrototypeOf(async function* () {}) as object;

/** The call that is a tick of the reminder. No reference makes it, as its name begins with `$`. */
export function tickMethod(reminder: string): string {
  return `$remind.${reminder}`;
}

/** The class's method for each reminder, by name. Throws `InvalidConfigError`. */
export function checkReminders(
  Class: GrainClass,
  members: readonly MemberRecord<ReminderRecord>[],
  worker: boolean,
): Map<string, MethodSpec> {
  const reminders = new Map<string, MethodSpec>();
  for (const { member, options, isStatic } of members) {
    const where = `class ${Class.name}: @reminder on ${String(member)}`;
    if (worker)
      throw new InvalidConfigError(`${where}: a worker has no place of its own, so nothing can remind it`);
    if (isStatic)
      throw new InvalidConfigError(`${where}: a static method belongs to no grain; remove 'static'`);
    checkMember(Class, where, member);
    checkKnown(where, options, OPTIONS);
    checkNumber(where, 'timeoutMs', options.timeoutMs, 1, LIMITS.callTimeoutMaxMs);
    const name = options.name ?? (member as string);
    checkName(where, name);
    const other = reminders.get(name);
    if (other && other.member !== member) {
      throw new InvalidConfigError(
        `${where}: ${other.member} is reminder '${name}' already; use another name`,
      );
    }
    reminders.set(name, specOf(member as string, name, options));
  }
  return reminders;
}

/** How ticks of these reminders run: as calls of a method that every grain has, see `Grain`. */
export function tickSpecs(reminders: ReadonlyMap<string, MethodSpec>): [string, MethodSpec][] {
  return [...reminders].map(([name, spec]) => [tickMethod(name), { ...spec, member: TICK_MEMBER }]);
}

function specOf(member: string, name: string, { timeoutMs }: ReminderRecord): MethodSpec {
  const plain = { readOnly: false, interleave: false, oneWay: false, repeatable: false, stream: false };
  return { ...plain, name: tickMethod(name), member, timeoutMs, worker: false };
}

function checkMember(Class: GrainClass, where: string, member: string | symbol): void {
  if (typeof member === 'symbol' || member.startsWith('#'))
    throw new InvalidConfigError(`${where}: the runtime cannot call it; give the method a public name`);
  const body: unknown = propertyAlong(Class.prototype, member)?.value; // without running an accessor
  if (typeof body !== 'function')
    throw new InvalidConfigError(`${where}: it is no method; a reminder calls one`);
  if (Object.getPrototypeOf(body) === GENERATOR)
    throw new InvalidConfigError(`${where}: nobody would read its items; use a plain async method`);
  if (member in Grain.prototype || member in Object.prototype || member.startsWith('$'))
    throw new InvalidConfigError(`${where}: this name has a meaning of its own; choose another`);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const UNPRINTABLE = /[\u0000-\u001f\u007f]/;

function checkName(where: string, name: unknown): void {
  const fits = typeof name === 'string' && name.length > 0 && name.length <= LIMITS.nameChars;
  if (fits && !UNPRINTABLE.test(name) && (name as string & { isWellFormed(): boolean }).isWellFormed())
    return;
  throw new InvalidConfigError(
    `${where}: ${JSON.stringify(name)} cannot be a reminder's name; use up to ${LIMITS.nameChars} characters`,
  );
}
