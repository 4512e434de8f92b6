import { InvalidConfigError } from '../errors.ts';
import { recordOf } from './metadata.ts';
import type { GrainOptions, MethodOptions, StateOptions } from './options.ts';

// Decorators only record: a class can be declared anywhere, in any order, and everything is checked when a
// silo starts.

/** Makes a class a grain class, with options of its own. */
export function grain(options: GrainOptions = {}) {
  return (target: new () => object): void => {
    refuseStandardDecorators('@grain', target);
    recordOf(target).grain = options;
  };
}

/**
 * Makes a method callable from outside: async, or an async generator, whose items the caller reads with `for
 * await`.
 */
export function method(options: MethodOptions = {}) {
  return (target: object, member: string | symbol, _descriptor?: PropertyDescriptor): void => {
    refuseStandardDecorators('@method', member);
    const isStatic = typeof target === 'function';
    recordOf(isStatic ? target : target.constructor).methods.push({ member, options, isStatic });
  };
}

/**
 * Makes a field part of the grain's persisted state. Its initializer is the default, also for records written
 * before the field existed.
 */
export function state(options: StateOptions = {}) {
  return (target: object, member: string | symbol, _descriptor?: PropertyDescriptor): void => {
    refuseStandardDecorators('@state', member);
    const isStatic = typeof target === 'function';
    recordOf(isStatic ? target : target.constructor).fields.push({ member, options, isStatic });
  };
}

/** The decorators of the ECMAScript proposal pass a context object where these expect a name. */
function refuseStandardDecorators(decorator: string, second: unknown): void {
  if (typeof second === 'object') {
    throw new InvalidConfigError(
      `${decorator} needs "experimentalDecorators": true in the tsconfig.json that compiles this class`,
    );
  }
}
