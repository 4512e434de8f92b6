import type { SchemaIssue } from '../errors.ts';
import { LIMITS } from '../limits.ts';

/**
 * What zod, valibot, arktype and others have in common: the Standard Schema interface, version 1
 * (https://standardschema.dev). It is only a shape, so Granary depends on none of them.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    /** For the compiler only: nothing is there when the program runs. */
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** What a schema says of a value: the value as it makes it, or what is wrong with it. */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

export interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** A value that a schema has let through, perhaps made anew; or why it did not. */
export type Validated<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly [SchemaIssue, ...SchemaIssue[]] };

/** What comes of a schema, as its user may write it. */
export type OutputOf<Schema> = Schema extends StandardSchema<unknown, infer Output> ? Output : never;

export function isStandardSchema(value: unknown): value is StandardSchema<unknown, unknown> {
  // Some libraries' schemas are functions.
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return false;
  const standard: unknown = (value as { '~standard'?: unknown })['~standard'];
  if (typeof standard !== 'object' || standard === null) return false;
  const { version, validate } = standard as { version?: unknown; validate?: unknown };
  return version === 1 && typeof validate === 'function';
}

/**
 * Asks a schema about a value that is called `at` in what it says. A promise only if the schema gives one:
 * then, as when it throws, what the schema's own code throws is thrown.
 */
export function validate<Output>(
  schema: StandardSchema<unknown, Output>,
  value: unknown,
  at: string,
): Validated<Output> | Promise<Validated<Output>> {
  const result = schema['~standard'].validate(value);
  return isThenable(result) ? Promise.resolve(result).then((late) => told(late, at)) : told(result, at);
}

/** Also a promise of another realm, or of a library: taken for an answer it would let all through. */
function isThenable<Result>(result: Result | PromiseLike<Result>): result is PromiseLike<Result> {
  return typeof (result as { readonly then?: unknown } | undefined)?.then === 'function';
}

function told<Output>(result: StandardResult<Output>, at: string): Validated<Output> {
  if (typeof result !== 'object' || result === null || !('value' in result || result.issues))
    throw new TypeError(`the schema of ${at} answered with neither a value nor issues`);
  // By the standard a result without issues is a success, and a failure has at least one; some schema may
  // not keep to the second half, and what it refused must not pass for it.
  if (!result.issues) return result;
  const [first = { message: 'it is refused' }, ...others] = result.issues;
  return { issues: [issue(first, at), ...others.map((each) => issue(each, at))] };
}

function issue({ path = [], message }: StandardIssue, at: string): SchemaIssue {
  return { path: clipped(path.reduce<string>(step, at)), message: clipped(message) };
}

/** Parts of a path are what somebody sent: an answer must not grow with it. */
function clipped(text: string): string {
  return text.length <= LIMITS.issueChars ? text : `${text.slice(0, LIMITS.issueChars)}…`;
}

function step(at: string, part: PropertyKey | { readonly key: PropertyKey }): string {
  const key = typeof part === 'object' ? part.key : part;
  if (typeof key === 'number' || (typeof key === 'string' && /^\d+$/.test(key))) return `${at}[${key}]`;
  if (typeof key === 'string' && /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key)) return `${at}.${key}`;
  return `${at}[${typeof key === 'symbol' ? String(key) : JSON.stringify(key)}]`;
}
