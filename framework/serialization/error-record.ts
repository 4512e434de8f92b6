import { ERRORS, InvalidConfigError } from '../errors.ts';
import { defineField } from './define-field.ts';
import { isError } from './kinds.ts';
import { MalformedError } from './malformed-error.ts';
import type { Class } from './registered-types.ts';

/** How an error travels: a plain value. Fields that are missing say that there was none. */
export interface ErrorRecord {
  /**
   * The nearest class that the receiver may know: built in, one of Granary's by its code, or registered by
   * name.
   */
  readonly type: string;
  readonly name: string;
  readonly message: string;
  /** The stack text of the process that threw. */
  readonly stack?: string;
  /** Own enumerable fields. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Names of fields that could not travel. The error that arrives lists them in `lostFields`. */
  readonly lost?: readonly string[];
  readonly cause?: Thrown;
  /** Of an `AggregateError`. */
  readonly errors?: readonly Thrown[];
}

/** Anything can be thrown, and be a cause. */
export type Thrown = { readonly error: ErrorRecord } | { readonly value: unknown };

/** Causes of causes that travel. Longer chains exist, but nobody reads them, and a circle must end. */
const CAUSE_DEPTH = 8;
/**
 * Errors in one error (causes, members of aggregates, fields) that travel, so that circles through several of
 * them end too.
 */
const ERRORS_IN_ALL = 100;

const BUILT_IN = [
  Error,
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
  EvalError,
  URIError,
  AggregateError,
] as const;
const NOT_FIELDS: ReadonlySet<string> = new Set(['name', 'message', 'stack', 'cause']);

const prototypes = new Map<string, object>();
const types = new Map<object, string>();

for (const type of BUILT_IN) known(type.name, type.prototype);
for (const [code, type] of Object.entries(ERRORS)) known(code, type.prototype);
known('DOMException', DOMException.prototype);

function known(type: string, prototype: object): void {
  prototypes.set(type, prototype);
  types.set(prototype, type);
}

/**
 * Lets errors of a class keep `instanceof` on the way to a caller. Both sides must register it. The error
 * that arrives is made without running the constructor: it has the prototype and the own fields. Throws
 * `InvalidConfigError` when the name is taken.
 */
export function registerError(type: Class<Error>, options: { readonly name?: string } = {}): void {
  const name = options.name ?? type.name;
  const prototype = type.prototype as object;
  if (prototypes.get(name) === prototype) return;
  if (name === '') throw new InvalidConfigError('registerError: the class has no name; give one in `name`');
  if (prototypes.has(name)) {
    throw new InvalidConfigError(
      `registerError: the name '${name}' is taken; give this class another in \`name\``,
    );
  }
  if (types.has(prototype))
    throw new InvalidConfigError(`registerError: class ${type.name} is registered already`);
  known(name, prototype);
}

let depth = 0;
let errorsLeft = ERRORS_IN_ALL;

/** A copy of a field's value, or an exception when it cannot travel. */
type Take = (value: unknown) => unknown;

/**
 * The record of an error. Fields are copied at once: they may hold the error itself, and copying is what ends
 * that circle. A field that cannot be copied is left out and listed: a failure that is not told is worse than
 * one told in part. So this throws only for an error too many inside another one, whose field is then left
 * out.
 */
export function recordOf(error: object, take: Take): ErrorRecord {
  if (!mayGoOn()) throw new RangeError('too many errors in one');
  if (depth === 0) errorsLeft = ERRORS_IN_ALL;
  errorsLeft--;
  depth++;
  try {
    return describe(error, take);
  } finally {
    depth--;
  }
}

/** Whether another error may be looked into; the outermost always may. */
function mayGoOn(): boolean {
  return depth === 0 || (depth <= CAUSE_DEPTH && errorsLeft > 0);
}

function describe(error: object, take: Take): ErrorRecord {
  const type = typeOf(error);
  const stack = read(error, 'stack');
  const lost: string[] = [];
  const fields: Record<string, unknown> = {};
  const isAggregate = error instanceof AggregateError;
  for (const key of Object.keys(error)) {
    if (NOT_FIELDS.has(key) || (isAggregate && key === 'errors')) continue;
    try {
      defineField(fields, key, take((error as Record<string, unknown>)[key]));
    } catch {
      lost.push(key);
    }
  }
  const cause = Object.hasOwn(error, 'cause') ? thrownOf(read(error, 'cause'), take) : undefined;
  if (Object.hasOwn(error, 'cause') && cause === undefined) lost.push('cause');
  const errors = isAggregate ? membersOf(error, take, lost) : undefined;
  return {
    type,
    name: nameOf(error, type),
    message: text(read(error, 'message')),
    ...(typeof stack === 'string' && { stack }),
    ...(Object.keys(fields).length > 0 && { fields }),
    ...(lost.length > 0 && { lost }),
    ...(cause !== undefined && { cause }),
    ...(errors !== undefined && { errors }),
  };
}

function membersOf(error: object, take: Take, lost: string[]): Thrown[] {
  const members = read(error, 'errors');
  if (!Array.isArray(members)) return [];
  const records: Thrown[] = [];
  for (const [i, member] of members.entries()) {
    const record = thrownOf(member, take);
    if (record === undefined) lost.push(`errors[${i}]`);
    else records.push(record);
  }
  return records;
}

/** The record of whatever was thrown, or undefined when it cannot travel, or is one too many. */
export function thrownOf(thrown: unknown, take: Take): Thrown | undefined {
  if (isError(thrown)) return mayGoOn() ? { error: recordOf(thrown, take) } : undefined;
  try {
    return { value: take(thrown) };
  } catch {
    return undefined;
  }
}

function typeOf(error: object): string {
  for (let at: object | null = error; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const type = types.get(at);
    if (type !== undefined) return type;
  }
  return 'Error';
}

/**
 * The error's name; for a class that did not set one and that the receiver does not know, the name of the
 * class.
 */
function nameOf(error: object, type: string): string {
  const name = text(read(error, 'name'));
  const made = read(error, 'constructor');
  const isBuiltIn = BUILT_IN.some((known) => known.name === type);
  if (name !== type || !isBuiltIn || typeof made !== 'function') return name;
  return text(made.name) || name;
}

function read(error: object, key: string): unknown {
  try {
    return (error as Record<string, unknown>)[key];
  } catch {
    return undefined;
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The error of a record. Records come from anyone: throws `MalformedError` for what is none. */
export function errorOf(record: unknown): Error {
  if (
    !isRecord(record) ||
    typeof record.type !== 'string' ||
    typeof record.name !== 'string' ||
    typeof record.message !== 'string'
  ) {
    throw new MalformedError('not an error record');
  }
  const { name, message, stack, fields, lost, cause, errors } = record;
  const error = blank(record.type, name, message);
  if (typeof stack === 'string') defineField(error, 'stack', stack, false);
  if (isRecord(fields)) {
    for (const key of Object.keys(fields)) if (!NOT_FIELDS.has(key)) defineField(error, key, fields[key]);
  }
  if (Array.isArray(lost) && lost.length > 0)
    defineField(
      error,
      'lostFields',
      lost.filter((field) => typeof field === 'string'),
    );
  if (cause !== undefined) defineField(error, 'cause', thrownFrom(cause), false);
  if (Array.isArray(errors)) defineField(error, 'errors', errors.map(thrownFrom), false);
  return error;
}

export function thrownFrom(thrown: unknown): unknown {
  if (isRecord(thrown) && isRecord(thrown.error)) return errorOf(thrown.error);
  if (isRecord(thrown) && Object.hasOwn(thrown, 'value')) return thrown.value;
  throw new MalformedError('neither an error record nor a value');
}

/**
 * A genuine error (inspection and `isNativeError` know it), with the prototype of its class, whose
 * constructor did not run.
 */
function blank(type: string, name: string, message: string): Error {
  if (type === 'DOMException') return new DOMException(message, name);
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const error = new Error(message);
  Error.stackTraceLimit = limit;
  const prototype = prototypes.get(type);
  if (prototype !== undefined) Object.setPrototypeOf(error, prototype);
  if (error.name !== name) defineField(error, 'name', name, false);
  return error;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
