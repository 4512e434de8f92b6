import { InvalidConfigError, type SchemaIssue } from '../errors.ts';
import {
  isStandardSchema,
  type OutputOf,
  type StandardSchema,
  type Validated,
  validate,
} from './standard-schema.ts';

/** What `@method({ args })` takes: one schema for all arguments as a list, or a list of one for each. */
export type ArgumentsSchema =
  | StandardSchema<unknown, readonly unknown[]>
  | readonly StandardSchema<unknown, unknown>[];

/** The arguments that a method gets whose schemas these are. */
export type ArgumentsOf<Schema extends ArgumentsSchema> = Schema extends readonly unknown[]
  ? { -readonly [Index in keyof Schema]: OutputOf<Schema[Index]> }
  : OutputOf<Schema> extends infer Args extends readonly unknown[]
    ? Args
    : never;

type Arguments = readonly unknown[];

/** Throws `InvalidConfigError` unless it is what `args` may be. */
export function checkArgumentsSchema(where: string, schema: ArgumentsSchema | undefined): void {
  if (schema === undefined || isStandardSchema(schema)) return;
  const what =
    'pass a Standard Schema (zod, valibot, arktype, ...) of the list of arguments, or a list of one for each';
  if (!Array.isArray(schema)) throw new InvalidConfigError(`${where}: args is no schema; ${what}`);
  const wrong = schema.findIndex((each) => !isStandardSchema(each));
  if (wrong >= 0) throw new InvalidConfigError(`${where}: args[${wrong}] is no schema; ${what}`);
}

/**
 * Asks the schemas about a call's arguments. A promise only if one of them gives one. Throws what a schema's
 * own code throws.
 */
export function validateArguments(
  schema: ArgumentsSchema,
  args: Arguments,
): Validated<Arguments> | Promise<Validated<Arguments>> {
  if (!isList(schema)) return validate(schema, args, 'args');
  const each = schema.map((one, index) => validate(one, args[index], `args[${index}]`));
  return each.some((one) => one instanceof Promise)
    ? Promise.all(each).then((all) => joined(all, args))
    : joined(each as Validated<unknown>[], args);
}

/** What the schemas say of one argument each, said of the list. */
function joined(each: readonly Validated<unknown>[], args: Arguments): Validated<Arguments> {
  const issues = each.flatMap((one): readonly SchemaIssue[] => one.issues ?? []);
  if (args.length > each.length) {
    const path = `args[${each.length}]`;
    issues.push({ path, message: `there are ${args.length} arguments, the method takes ${each.length}` });
  }
  const [first, ...others] = issues;
  if (first) return { issues: [first, ...others] };
  const values = each.map((one) => ('value' in one ? one.value : undefined));
  // What was left out stays so, unless the schema has a default for it: the method may count its arguments.
  while (values.length > args.length && values.at(-1) === undefined) values.pop();
  return { value: values };
}

function isList(schema: ArgumentsSchema): schema is readonly StandardSchema<unknown, unknown>[] {
  return Array.isArray(schema);
}
