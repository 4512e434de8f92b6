import { InvalidConfigError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { checkShape, type DeclaredField } from './check-shape.ts';
import { checkKnown, propertyAlong } from './checks.ts';
import type { GrainClass } from './grain.ts';
import type { RecordSpec } from './grain-type.ts';
import type { MemberRecord } from './metadata.ts';
import type { StateOptions } from './options.ts';

const STATE_OPTIONS: readonly (keyof StateOptions)[] = ['store', 'name', 'version', 'migrate', 'schema'];

/** The fields that are saved, by record. Throws `InvalidConfigError`. */
export function checkFields(
  Class: GrainClass,
  members: readonly MemberRecord<StateOptions>[],
  defaultStore: string,
): RecordSpec[] {
  const records = new Map<string, Declared>();
  for (const { member, options, isStatic } of members) {
    const where = `class ${Class.name}: @state on ${String(member)}`;
    checkKnown(where, options, STATE_OPTIONS);
    if (isStatic)
      throw new InvalidConfigError(`${where}: a static field belongs to no grain; remove 'static'`);
    if (typeof member === 'symbol')
      throw new InvalidConfigError(`${where}: a field needs a name that can be stored; use a string`);
    if (member.startsWith('#'))
      throw new InvalidConfigError(`${where}: a private field cannot be read by the store; remove the '#'`);
    const descriptor = propertyAlong(Class.prototype, member);
    // Of an `accessor` field, or of a getter and a setter: what can be read and written can be saved.
    if (descriptor && !(descriptor.get && descriptor.set)) {
      const remedy =
        typeof descriptor.value === 'function' ? 'use @method() for methods' : 'decorate the field behind it';
      throw new InvalidConfigError(`${where}: it is no field; ${remedy}`);
    }
    const name = options.name ?? 'state';
    if (name.length === 0 || name.length > LIMITS.nameChars) {
      throw new InvalidConfigError(`${where}: a record's name has 1 to ${LIMITS.nameChars} characters`);
    }
    const store = options.store ?? defaultStore;
    const record = records.get(name) ?? { name, store, fields: [], declared: [] };
    if (record.store !== store) {
      throw new InvalidConfigError(
        `${where}: record '${name}' is in store '${record.store}' already; one record has one store`,
      );
    }
    if (!record.fields.includes(member)) record.fields.push(member);
    record.declared.push({ member, options });
    records.set(name, record);
  }
  return [...records.values()].map(({ name, store, fields, declared }) => {
    return { name, store, fields, shape: checkShape(Class, name, declared) };
  });
}

interface Declared {
  readonly name: string;
  readonly store: string;
  readonly fields: string[];
  readonly declared: DeclaredField[];
}
