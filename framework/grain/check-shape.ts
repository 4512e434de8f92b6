import { InvalidConfigError } from '../errors.ts';
import type { GrainClass } from './grain.ts';
import type { StateMigration, StateOptions } from './options.ts';
import { isStandardSchema, type StandardSchema } from './standard-schema.ts';

/** Of classes that do not say, and of records that were written by such a class. */
export const FIRST_VERSION = 1;
const VERSION_MAX = 1_000_000;

/** What a class says of the shape of a record, where it says anything. */
export interface RecordShape {
  readonly version: number;
  /** What makes a version of the one before, by the version that it makes; without gaps up to `version`. */
  readonly steps: ReadonlyMap<number, StateMigration>;
  readonly schemas: ReadonlyMap<string, StandardSchema<unknown, unknown>>;
}

/** A field of the record, and what its decorator says. */
export interface DeclaredField {
  readonly member: string;
  readonly options: StateOptions;
}

/**
 * Any field may say what holds for the whole record; those that do must agree. Undefined when none does.
 * Throws `InvalidConfigError`.
 */
export function checkShape(
  Class: GrainClass,
  record: string,
  fields: readonly DeclaredField[],
): RecordShape | undefined {
  const schemas = new Map<string, StandardSchema<unknown, unknown>>();
  for (const { member, options } of fields) {
    const { schema } = options;
    if (schema === undefined) continue;
    if (!isStandardSchema(schema)) {
      throw new InvalidConfigError(
        `${nameOf(Class, member)}: schema is no Standard Schema; zod, valibot, arktype and others make them`,
      );
    }
    schemas.set(member, schema);
  }
  const version = versionOf(Class, record, fields);
  const steps = stepsOf(Class, record, fields, version);
  if (version === FIRST_VERSION && schemas.size === 0) return undefined;
  return { version, steps, schemas };
}

function versionOf(Class: GrainClass, record: string, fields: readonly DeclaredField[]): number {
  let said: { readonly version: number; readonly member: string } | undefined;
  for (const { member, options } of fields) {
    const { version } = options;
    if (version === undefined) continue;
    const where = nameOf(Class, member);
    if (!Number.isInteger(version) || version < FIRST_VERSION || version > VERSION_MAX) {
      throw new InvalidConfigError(
        `${where}: version is ${String(version)}; it must be a whole number from 1 to ${VERSION_MAX}`,
      );
    }
    if (said && said.version !== version) {
      throw new InvalidConfigError(
        `${where}: version is ${version}, but record '${record}' has version ${said.version} on ` +
          `${said.member}; fields of one record share one, so say it once`,
      );
    }
    said ??= { version, member };
  }
  return said?.version ?? FIRST_VERSION;
}

function stepsOf(
  Class: GrainClass,
  record: string,
  fields: readonly DeclaredField[],
  version: number,
): Map<number, StateMigration> {
  const steps = new Map<number, StateMigration>();
  const declared = new Set(
    fields.flatMap(({ options: { migrate } }) => (migrate === undefined ? [] : [migrate])),
  );
  const [migrate, another] = declared;
  const where = `class ${Class.name}: record '${record}'`;
  if (another) throw new InvalidConfigError(`${where} has migrate on two fields; put all steps into one`);
  if (migrate !== undefined && typeof migrate !== 'object')
    throw new InvalidConfigError(
      `${where}: migrate must be an object of steps: { 2: (stored) => ({ ... }) }`,
    );
  for (const [key, step] of Object.entries(migrate ?? {})) {
    const makes = Number(key);
    if (!Number.isInteger(makes) || makes <= FIRST_VERSION || makes > version) {
      throw new InvalidConfigError(
        `${where} has version ${version}, and migrate has a step '${key}'; a step is named by what it makes`,
      );
    }
    if (typeof step !== 'function')
      throw new InvalidConfigError(`${where}: migrate[${key}] is ${String(step)}; it must be a function`);
    steps.set(makes, step);
  }
  const oldest = Math.min(version, ...steps.keys());
  for (let makes = oldest; version > FIRST_VERSION && makes <= version; makes++) {
    if (steps.has(makes)) continue;
    throw new InvalidConfigError(
      `${where} has version ${version}, but migrate has no step that makes ${makes} of ${makes - 1}: ` +
        `migrate: { ${makes}: (stored) => ({ ...stored }) }`,
    );
  }
  return steps;
}

function nameOf(Class: GrainClass, member: string): string {
  return `class ${Class.name}: @state on ${member}`;
}
