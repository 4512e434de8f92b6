import { InvalidConfigError } from '../errors.ts';
import { type GrainId, typeOf } from '../identity/grain-id.ts';
import type { GrainType, MethodSpec } from './grain-type.ts';
import type { CallOptions } from './options.ts';

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

  get $id(): GrainId {
    return this.#id;
  }

  /** The same grain, called with these options. Throws `InvalidConfigError` when one is none. */
  $with(options: CallOptions): Reference {
    checkCallOptions(this.#id, options);
    const Class = this.#caller.grainType(typeOf(this.#id))?.Reference ?? UntypedReference;
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
  const { timeoutMs = 0, signal } = options;
  if (typeof timeoutMs !== 'number' || Number.isNaN(timeoutMs)) {
    throw new InvalidConfigError(`${where}: timeoutMs is ${timeoutMs}; it must be a number of milliseconds`);
  }
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    throw new InvalidConfigError(`${where}: signal is no AbortSignal`);
  }
}

const senders = new Map<string, Send>();
/** Names are the user's own, but a program that makes them up must not fill the memory. */
const SENDERS_MAX = 10_000;

function senderOf(method: string): Send {
  let send = senders.get(method);
  if (!send) {
    if (senders.size >= SENDERS_MAX) senders.clear();
    send = Reference.sender(method, undefined);
    senders.set(method, send);
  }
  return send;
}

const anyMethod = new Proxy(Object.create(null) as object, {
  get(_target, name) {
    if (typeof name !== 'string' || name.startsWith('$') || NOT_METHODS.has(name)) return undefined;
    return senderOf(name);
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
