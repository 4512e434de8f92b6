import { InvalidStateError, StateVersionError } from '../errors.ts';
import { FIRST_VERSION, type RecordShape } from '../grain/check-shape.ts';
import type { RecordSpec } from '../grain/grain-type.ts';
import type { StoredFields } from '../grain/options.ts';
import { validate } from '../grain/standard-schema.ts';
import type { GrainId } from '../identity/grain-id.ts';
import { defineField } from '../serialization/define-field.ts';
import type { RecordContents } from './record-format.ts';

/**
 * The stored fields as the class of this silo knows them: of its version, and let through by its schemas.
 * Throws `StateVersionError` and `InvalidStateError`.
 */
export function asKnownHere(contents: RecordContents, spec: RecordSpec, id: GrainId): StoredFields {
  const { shape } = spec;
  const known = shape?.version ?? FIRST_VERSION;
  if (contents.version > known) throw tooNew(contents.version, known, spec, id);
  if (!shape) return contents.fields;
  return validated(migrated(contents, shape, spec, id), shape, spec, id);
}

/** Fields that the class does not have: another version of it does, and must find them again. */
export function unknownAmong(fields: StoredFields, spec: RecordSpec): StoredFields | undefined {
  let unknown: StoredFields | undefined;
  for (const field of Object.keys(fields)) {
    if (spec.fields.includes(field)) continue;
    unknown ??= {};
    defineField(unknown, field, fields[field]);
  }
  return unknown;
}

function migrated(contents: RecordContents, shape: RecordShape, spec: RecordSpec, id: GrainId): StoredFields {
  let { fields } = contents;
  for (let makes = contents.version + 1; makes <= shape.version; makes++) {
    const step = shape.steps.get(makes);
    if (!step) throw tooOld(contents.version, shape, spec, id);
    const where = `${id}: the step of record '${spec.name}' from version ${makes - 1} to ${makes}`;
    let made: unknown;
    try {
      made = step(fields);
    } catch (cause) {
      throw new InvalidStateError(`${where} threw: ${String(cause)}`, { grain: id, cause });
    }
    if (!isFields(made)) {
      const what = made instanceof Promise ? 'a promise, and must not wait' : 'no plain object';
      throw new InvalidStateError(`${where} returned ${what}; return the fields`, { grain: id });
    }
    fields = made;
  }
  return fields;
}

function isFields(made: unknown): made is StoredFields {
  if (typeof made !== 'object' || made === null) return false;
  const prototype: unknown = Object.getPrototypeOf(made);
  return prototype === Object.prototype || prototype === null;
}

function validated(fields: StoredFields, shape: RecordShape, spec: RecordSpec, id: GrainId): StoredFields {
  if (shape.schemas.size === 0) return fields;
  const valid = { ...fields };
  for (const [field, schema] of shape.schemas) {
    if (!Object.hasOwn(fields, field)) continue; // it gets its default, which is the class's own
    const where = `${id}: record '${spec.name}'`;
    const invalid = (path: string, text: string, cause?: unknown) =>
      new InvalidStateError(`${where}: ${path}: ${text}`, { grain: id, path, cause });
    let result: ReturnType<typeof validate>;
    try {
      result = validate(schema, fields[field], field);
    } catch (cause) {
      throw invalid(field, `its schema threw: ${String(cause)}`, cause);
    }
    if (result instanceof Promise) {
      result.catch(() => {}); // what it says comes too late
      throw invalid(field, 'its schema answers with a promise; a schema of state must not wait');
    }
    if (result.issues) throw invalid(result.issues[0].path, result.issues[0].message);
    defineField(valid, field, result.value);
  }
  return valid;
}

function tooNew(stored: number, known: number, spec: RecordSpec, id: GrainId): StateVersionError {
  return new StateVersionError(
    `${id}: record '${spec.name}' has version ${stored}, and the class of this silo knows ${known}: ` +
      'newer code wrote it; update this silo',
    { grain: id, stored, known },
  );
}

function tooOld(stored: number, shape: RecordShape, spec: RecordSpec, id: GrainId): StateVersionError {
  return new StateVersionError(
    `${id}: record '${spec.name}' has version ${stored}, and no migrate step makes ${stored + 1} of it; ` +
      `the class has ${shape.version} and the steps ${[...shape.steps.keys()].join(', ')}`,
    { grain: id, stored, known: shape.version },
  );
}
