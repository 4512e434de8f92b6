import { InvalidConfigError } from '../errors.ts';
import type { ArgumentsOf, ArgumentsSchema } from './arguments-schema.ts';
import { type ClassRecord, type MemberRecord, recordIn, recordOf, type StandardContext } from './metadata.ts';
import type { GrainOptions, MethodOptions, StateOptions } from './options.ts';
import type { ReminderOptions } from './reminder-options.ts';
import type { SubscribeOptions } from './subscribe-options.ts';

// Decorators only record: a class can be declared anywhere, in any order, and everything is checked when a
// silo starts. Each works by the rules of the ECMAScript proposal and by TypeScript's older ones
// (`experimentalDecorators`), whichever the class was compiled by: what the second argument is tells.

/** What `@grain()` returns. */
export interface ClassDecoration {
  (target: new () => object, context: ClassDecoratorContext): void;
  (target: new () => object): void;
}

/** What stands before a method. */
export interface MethodDecoration {
  // biome-ignore lint/suspicious/noExplicitAny: `any` is how TypeScript matches a function of any parameters
  (method: (...args: any[]) => unknown, context: ClassMethodDecoratorContext): void;
  (target: object, member: string | symbol, descriptor?: PropertyDescriptor): void;
}

/** What stands before a method whose arguments have schemas: the method must take what these give. */
export interface CheckedMethodDecoration<Args extends readonly unknown[]> {
  (method: (...args: Args) => unknown, context: ClassMethodDecoratorContext): void;
  (target: object, member: string | symbol, descriptor: { value?: (...args: Args) => unknown }): void;
}

/** What stands before a field, an `accessor` field too. */
export interface FieldDecoration {
  (field: undefined, context: ClassFieldDecoratorContext): void;
  <This, Value>(
    accessor: ClassAccessorDecoratorTarget<This, Value>,
    context: ClassAccessorDecoratorContext<This, Value>,
  ): void;
  (target: object, member: string | symbol, descriptor?: PropertyDescriptor): void;
}

/** Makes a class a grain class, with options of its own. */
export function grain(options?: GrainOptions): ClassDecoration;
export function grain(options: GrainOptions = {}, ...more: unknown[]): ClassDecoration {
  checkCalled('@grain', options, more);
  return (target: object, context?: StandardContext): void => {
    const record = context === undefined ? recordOf(target) : recordIn('@grain', context);
    record.grain = options;
  };
}

/**
 * Makes a method callable from outside: async, or an async generator, whose items the caller reads with `for
 * await`.
 */
export function method<const Schema extends ArgumentsSchema>(
  options: MethodOptions & { readonly args: Schema },
): CheckedMethodDecoration<ArgumentsOf<Schema>>;
export function method(options?: MethodOptions): MethodDecoration;
export function method(options: MethodOptions = {}, ...more: unknown[]): MethodDecoration {
  checkCalled('@method', options, more);
  return memberDecorator('@method', options, (record) => record.methods);
}

/**
 * Makes a field part of the grain's persisted state. Its initializer is the default, also for records written
 * before the field existed.
 */
export function state(options?: StateOptions): FieldDecoration;
export function state(options: StateOptions = {}, ...more: unknown[]): FieldDecoration {
  checkCalled('@state', options, more);
  return memberDecorator('@state', options, (record) => record.fields);
}

/**
 * Makes a method the target of a reminder, which `context.remind(name, …)` sets: it is called with a
 * `ReminderTick`. The name is the member's own unless another is given. Nobody else can call it, unless it is
 * a `@method()` as well.
 */
export function reminder(name?: string, options: ReminderOptions = {}): MethodDecoration {
  checkCalled('@reminder', name);
  return memberDecorator('@reminder', { ...options, name }, (record) => record.reminders);
}

/**
 * Makes a method the handler of a topic's events: it is called with the event and an `EventMeta`, one event
 * of a key after the other, again until it ends without an error. Nobody else can call it, unless it is a
 * `@method()` as well.
 */
export function subscribe(topic: string, options: SubscribeOptions = {}): MethodDecoration {
  checkCalled('@subscribe', topic);
  return memberDecorator('@subscribe', { ...options, topic }, (record) => record.subscriptions);
}

/**
 * Without parentheses a decorator is handed the class or member in place of its options, and would decorate
 * nothing. Only the type check sees that otherwise, which few tools that run TypeScript do.
 */
function checkCalled(decorator: string, first: unknown, more: readonly unknown[] = []): void {
  const isPrototype = typeof first === 'object' && first !== null && Object.hasOwn(first, 'constructor');
  if (typeof first !== 'function' && !isPrototype && more.length === 0) return;
  const needed = decorator === '@subscribe' ? `${decorator}('topic')` : `${decorator}()`;
  throw new InvalidConfigError(`${decorator} stands without parentheses; write ${needed}`);
}

/** A decorator that adds the member to one of its class's lists. */
function memberDecorator<Options>(
  decorator: string,
  options: Options,
  listIn: (record: ClassRecord) => MemberRecord<Options>[],
) {
  return (target: unknown, second: string | symbol | StandardContext): void => {
    if (typeof second === 'object') {
      const { name, static: isStatic = false } = second;
      listIn(recordIn(decorator, second)).push({ member: name as string | symbol, options, isStatic });
      return;
    }
    const isStatic = typeof target === 'function';
    const Class = isStatic ? target : (target as object).constructor;
    listIn(recordOf(Class)).push({ member: second, options, isStatic });
  };
}
