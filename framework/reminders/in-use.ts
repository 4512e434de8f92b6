import type { GrainType } from '../grain/grain-type.ts';
import type { SiloEntry } from '../membership/view.ts';

/** Stands among a silo's types, and is none: a type's name has no parentheses. */
const REMINDED = '(reminders)';

/**
 * What a silo says that it has: its types, and whether a class among them has reminders. Any silo may own
 * reminders, also of classes that it does not have; where no silo has such a class, none reads the store.
 */
export function remindable(
  names: readonly string[],
  types: ReadonlyMap<string, GrainType>,
): readonly string[] {
  const hasReminders = [...types.values()].some(({ reminders }) => reminders.size > 0);
  return hasReminders ? [...names, REMINDED] : names;
}

/** Whether any silo that is known, or was, has a class with reminders. */
export function areReminded(view: readonly SiloEntry[]): boolean {
  return view.some(({ types }) => types.includes(REMINDED));
}
