import { InvalidConfigError } from '../errors.ts';
import { type GrainId, typeOf } from '../identity/grain-id.ts';
import { isObserverId } from '../identity/observer-id.ts';
import { LIMITS } from '../limits.ts';
import type { GrainType, MethodSpec } from './grain-type.ts';
import { isIdempotencyKey } from './idempotency-key.ts';
import type { CallOptions } from './options.ts';
import { checkRetry } from './retry.ts';

/** One call as a reference hands it on. */
export interface OutgoingCall {
  readonly target: GrainId;
  readonly method: string;
  /** What the method's decorator says; undefined when this process does not have the class. */
  readonly spec: MethodSpec | undefined;
  readonly args: readonly unknown[];
  readonly options: CallOptions | undefined;
}

/** Whoever makes calls: a client, a silo, or an activation, whose calls belong to the call that it runs. */
export interface Caller {
  /** What is known of a grain type here. */
  grainType(name: string): GrainType | undefined;
  invoke(call: OutgoingCall): Promise<unknown>;
  stream(call: OutgoingCall): AsyncIterableIterator<unknown>;
  /** For a method that is not known to be a stream or not: what it is shows by how the result is used. */
  invokeOrStream(call: OutgoingCall): Promise<unknown> & AsyncIterable<unknown>;
  /** The wall clock of its node, in milliseconds. */
  now(): number;
}

/** Names that a reference must not answer to, since the language or its tools ask every object for them. */
const NOT_METHODS = new Set(['then', 'toJSON', 'asymmetricMatch']);

type Send = (this: Reference, ...args: unknown[]) => unknown;

/**
 * What stands for a grain. Each type has a class of references of its own, with a method for each of the
 * grain's, so that a call is a plain method call. At the end of its prototype chain sits a proxy: whatever
 * else is asked for becomes a call too, which the silo refuses by name, so a mistake in a name gets an answer
 * from the one place that knows.
 */
export class Reference {
  readonly #id: GrainId;
  readonly #caller: Caller;
  readonly #options: CallOptions | undefined;

  constructor(id: GrainId, caller: Caller, options?: CallOptions) {
    this.#id = id;
    this.#caller = caller;
    this.#options = options;
  }

  static is(value: object): value is Reference {
    return #id in value;
  }

  static idOf(reference: Reference): GrainId {
    return reference.#id;
  }

  static callerOf(reference: Reference): Caller {
    return reference.#caller;
  }

  get $id(): GrainId {
    return this.#id;
  }

  /** The same grain, called with these options. Throws `InvalidConfigError` when one is none. */
  $with(options: CallOptions): Reference {
    checkCallOptions(this.#id, options);
    const Class = referenceClassOf(this.#id, this.#caller);
    return new Class(this.#id, this.#caller, { ...this.#options, ...options });
  }

  [Symbol.toPrimitive](): string {
    return this.#id;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return `GrainRef(${this.#id})`;
  }

  static sender(method: string, spec: MethodSpec | undefined): Send {
    if (spec?.stream) {
      return function (this: Reference, ...args: unknown[]) {
        return this.#caller.stream({ target: this.#id, method, spec, args, options: this.#options });
      };
    }
    if (spec) {
      return function (this: Reference, ...args: unknown[]) {
        return this.#caller.invoke({ target: this.#id, method, spec, args, options: this.#options });
      };
    }
    return function (this: Reference, ...args: unknown[]) {
      return this.#caller.invokeOrStream({ target: this.#id, method, spec, args, options: this.#options });
    };
  }
}

const CALL_OPTIONS: readonly string[] = [
  'timeoutMs',
  'signal',
  'oneWay',
  'request',
  'idempotencyKey',
  'retry',
] satisfies (keyof CallOptions)[];

/** A misspelt option would change nothing, and a deadline that is no number would never come. */
function checkCallOptions(id: GrainId, options: CallOptions): void {
  const where = `${id}.$with()`;
  for (const option of Object.keys(options)) {
    if (CALL_OPTIONS.includes(option)) continue;
    throw new InvalidConfigError(
      `${where}: there is no option '${option}'; there are: ${CALL_OPTIONS.join(', ')}`,
    );
  }
  const { timeoutMs = 0, signal, idempotencyKey, request } = options;
  if (idempotencyKey !== undefined && !isIdempotencyKey(idempotencyKey)) {
    throw new InvalidConfigError(
      `${where}: idempotencyKey must be a text of 1 to ${LIMITS.idempotencyKeyChars} characters`,
    );
  }
  if (idempotencyKey !== undefined && isObserverId(id)) {
    throw new InvalidConfigError(`${where}: an observer keeps no answers; remove the idempotencyKey`);
  }
  checkRetry(where, options.retry);
  if (typeof timeoutMs !== 'number' || Number.isNaN(timeoutMs)) {
    throw new InvalidConfigError(`${where}: timeoutMs is ${timeoutMs}; it must be a number of milliseconds`);
  }
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    throw new InvalidConfigError(`${where}: signal is no AbortSignal`);
  }
  if (request !== undefined && (typeof request !== 'object' || request === null || Array.isArray(request))) {
    throw new InvalidConfigError(`${where}: request must be an object, { user: 'ada' } say`);
  }
}

/** Whether a property that is asked for can be a method; `$` begins names that are Granary's own. */
export function isMethodName(name: unknown): name is string {
  return typeof name === 'string' && !name.startsWith('$') && !NOT_METHODS.has(name);
}

/** Names are the user's own, but a program that makes them up must not fill the memory. */
const SENDERS_MAX = 10_000;

/** Makes what calls a method by its name, once for each name. */
function sendersWith(specOf: () => MethodSpec | undefined): (method: string) => Send {
  const senders = new Map<string, Send>();
  return (method) => {
    let send = senders.get(method);
    if (!send) {
      if (senders.size >= SENDERS_MAX) senders.clear();
      send = Reference.sender(method, specOf());
      senders.set(method, send);
    }
    return send;
  };
}

const senderOf = sendersWith(() => undefined);
const observerSender = sendersWith(() => OBSERVER_SPEC);

const anyMethod = new Proxy(Object.create(null) as object, {
  get(_target, name) {
    return isMethodName(name) ? senderOf(name) : undefined;
  },
  has: () => false,
});

// `constructor` and the like are not taken from Object.prototype, and not from this class either: they are
// names like any other.
Object.setPrototypeOf(Reference.prototype, anyMethod);
delete (Reference.prototype as { constructor?: unknown }).constructor;

export type ReferenceClass = new (id: GrainId, caller: Caller, options?: CallOptions) => Reference;

/** References to grains whose class this process does not have. */
export const UntypedReference: ReferenceClass = Reference;

/** Makes the class of references to one grain type. */
export function referenceClass(methods: ReadonlyMap<string, MethodSpec>): ReferenceClass {
  const Class = class extends Reference {};
  for (const [name, spec] of methods) {
    Object.defineProperty(Class.prototype, name, {
      value: Reference.sender(name, spec),
      writable: true,
      configurable: true,
    });
  }
  if (!methods.has('constructor')) delete (Class.prototype as { constructor?: unknown }).constructor;
  return Class;
}

/**
 * How calls of observers are treated: each goes to the node that its id names, and is not tried again. The
 * one spec of all of them, by which they are known.
 */
export const OBSERVER_SPEC: MethodSpec = Object.freeze({
  ...{ name: '$observer', member: '$observer', timeoutMs: undefined },
  ...{ readOnly: false, interleave: false, oneWay: false, repeatable: false, stream: false },
  worker: true, // its place is not the ring's: the locator is not asked
});

/** References to observers: every name that is not a reference's own is a method of the object. */
const ObserverReference: ReferenceClass = class extends Reference {};
delete (ObserverReference.prototype as { constructor?: unknown }).constructor;
Object.setPrototypeOf(
  ObserverReference.prototype,
  new Proxy(Reference.prototype, {
    get(reference, name, receiver) {
      return isMethodName(name) ? observerSender(name) : (Reflect.get(reference, name, receiver) as unknown);
    },
  }),
);

/** The class of references to what has an id, as a caller knows it. */
export function referenceClassOf(id: GrainId, caller: Caller): ReferenceClass {
  if (isObserverId(id)) return ObserverReference;
  return caller.grainType(typeOf(id))?.Reference ?? UntypedReference;
}
