import { InvalidConfigError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { checkArgumentsSchema } from './arguments-schema.ts';
import { checkKnown, checkNumber, propertyAlong } from './checks.ts';
import { Grain, type GrainClass } from './grain.ts';
import type { MethodSpec } from './grain-type.ts';
import type { MemberRecord } from './metadata.ts';
import type { MethodOptions } from './options.ts';
import { checkRetry } from './retry.ts';

const METHOD_OPTIONS: readonly (keyof MethodOptions)[] = [
  'readOnly',
  'interleave',
  'oneWay',
  'idempotent',
  'timeoutMs',
  'args',
  'retry',
];
const GENERATOR = Object.getPrototypeOf(async function* () {}) as object;

/** What may be called from outside, by name. Throws `InvalidConfigError`. */
export function checkMethods(
  Class: GrainClass,
  members: readonly MemberRecord<MethodOptions>[],
  worker: boolean,
  /** The runtime calls some: for reminders, or with events. */
): Map<string, MethodSpec> {
  const methods = new Map<string, MethodSpec>();
  for (const { member, options, isStatic } of members) {
    const where = `class ${Class.name}: @method on ${String(member)}`;
    checkKnown(where, options, METHOD_OPTIONS);
    if (isStatic)
      throw new InvalidConfigError(`${where}: a static method belongs to no grain; remove 'static'`);
    if (typeof member === 'symbol')
      throw new InvalidConfigError(`${where}: a method needs a name that can be sent; use a string`);
    if (member.startsWith('#')) {
      throw new InvalidConfigError(
        `${where}: a private method cannot be called from outside; remove the '#' or the decorator`,
      );
    }
    const body: unknown = propertyAlong(Class.prototype, member)?.value; // without running an accessor
    if (typeof body !== 'function')
      throw new InvalidConfigError(`${where}: it is no method; use @state() for fields`);
    if (
      member in Grain.prototype ||
      member in Object.prototype ||
      member.startsWith('$') ||
      member === 'then' ||
      member === 'toJSON'
    ) {
      throw new InvalidConfigError(`${where}: this name has a meaning of its own; choose another`);
    }
    if (member.length > LIMITS.nameChars)
      throw new InvalidConfigError(`${where}: the name is longer than ${LIMITS.nameChars}`);
    checkArgumentsSchema(where, options.args);
    checkMethodRetry(where, options);
    checkNumber(where, 'timeoutMs', options.timeoutMs, 1, LIMITS.callTimeoutMaxMs);
    const stream = Object.getPrototypeOf(body) === GENERATOR;
    if (stream && options.retry)
      throw new InvalidConfigError(`${where}: a stream is not made again; its reader reads it anew`);
    if (stream && options.oneWay)
      throw new InvalidConfigError(`${where}: a stream cannot be one-way; its caller reads it`);
    methods.set(member, {
      name: member,
      member,
      readOnly: options.readOnly ?? false,
      interleave: options.interleave ?? false,
      oneWay: options.oneWay ?? false,
      repeatable: (options.readOnly || options.idempotent) ?? false,
      timeoutMs: options.timeoutMs,
      stream,
      schema: options.args,
      retry: options.retry,
      worker,
    });
  }
  return methods;
}

function checkMethodRetry(where: string, { retry, idempotent, readOnly, oneWay }: MethodOptions): void {
  checkRetry(where, retry);
  if (retry === undefined) return;
  if (oneWay)
    throw new InvalidConfigError(`${where}: nobody learns the outcome of a one-way call; remove retry`);
  if (idempotent || readOnly) return;
  throw new InvalidConfigError(
    `${where}: retry is for methods that may run twice; add idempotent or readOnly, or remove retry`,
  );
}
