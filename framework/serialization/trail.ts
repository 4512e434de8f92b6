import { NotSerializableError, PayloadTooLargeError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { RegisteredType } from './registered-types.ts';

type Step = string | number;

/**
 * Objects in one value. A message of the largest size could hold more only if each had less than four bytes.
 */
const OBJECTS_MAX = LIMITS.callBytes / 4;

/**
 * Where a walk over a value is: the objects from the root down, and in each the place of the next. Keeping it
 * costs two stores per object; paths and messages are made of it only when something cannot travel.
 *
 * An object that holds itself is not looked for: the walk runs into the depth limit and then finds it on the
 * trail.
 */
export class Trail {
  readonly #holders: object[] = [];
  readonly #steps: Step[] = [];
  #depth = 0;
  #entered = 0;
  #root = '';

  start(root: string): void {
    this.#root = root;
    this.#depth = 0;
    this.#entered = 0;
  }

  /** The name of the value that the walk began with. */
  get root(): string {
    return this.#root;
  }

  /** Lets go of the objects. */
  release(): void {
    this.#holders.length = 0;
    this.#depth = 0;
  }

  /** Goes into an object. Throws when it is too deep, or when the walk has seen too many. */
  enter(holder: object): void {
    if (this.#depth >= LIMITS.valueDepth) throw this.#tooDeep(holder);
    if (++this.#entered > OBJECTS_MAX) throw this.#tooLarge();
    this.#holders[this.#depth++] = holder;
  }

  /**
   * Says where in the object entered last the walk goes next: a key, an index, the count of a map's keys and
   * values.
   */
  at(step: Step): void {
    this.#steps[this.#depth - 1] = step;
  }

  leave(): void {
    this.#depth--;
  }

  /** The error for a value that cannot travel, which is at the place that the walk has reached. */
  refuse(value: unknown): NotSerializableError {
    const { what, remedy } = describe(value);
    return this.#refusal(what, remedy);
  }

  /** The data of an instance of a registered class, the object that was entered last. */
  encoded(type: RegisteredType, instance: object): unknown {
    try {
      return type.encode(instance);
    } catch (cause) {
      this.leave();
      throw this.#refusal(`a '${type.name}' whose registered \`encode\` threw`, 'see the cause', cause);
    }
  }

  /** Throws when the object that was entered last has a symbol among its enumerable keys. */
  refuseSymbolKeys(holder: object): void {
    const symbols = Object.getOwnPropertySymbols(holder);
    if (symbols.length === 0) return;
    const key = symbols.find((symbol) => Object.prototype.propertyIsEnumerable.call(holder, symbol));
    if (key === undefined) return;
    this.leave();
    throw this.#refusal(`an object with the symbol ${String(key)} as a key`, 'use a string as the key');
  }

  #refusal(what: string, remedy: string, cause?: unknown): NotSerializableError {
    const path = this.#path(this.#depth);
    return new NotSerializableError(`${path} is ${what} and cannot travel: ${remedy}`, { path, cause });
  }

  #tooDeep(holder: object): NotSerializableError {
    this.#holders[this.#depth] = holder;
    for (let i = 1; i <= this.#depth; i++) {
      const first = this.#holders.indexOf(this.#holders[i] as object);
      if (first === i) continue;
      this.#depth = i;
      return this.#refusal(
        `a circular structure (it is ${this.#path(first)} again)`,
        'break the circle, for instance with ids',
      );
    }
    return this.#refusal(
      `nested more than ${LIMITS.valueDepth} levels deep`,
      'flatten it, or split it into grains',
    );
  }

  #tooLarge(): PayloadTooLargeError {
    return new PayloadTooLargeError(
      `${this.#root} holds more than ${OBJECTS_MAX} objects; ` +
        'keep what is large in a store, or send it as a stream ' +
        '(an object that is reached in many ways counts, and would arrive, once for each)',
    );
  }

  #path(depth: number): string {
    let path = this.#root;
    for (let i = 0; i < depth; i++) path += stepText(this.#holders[i] as object, this.#steps[i] as Step);
    return path;
  }
}

const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*(\(\))?$/u;

function stepText(holder: object, step: Step): string {
  if (typeof step === 'string') return IDENTIFIER.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
  if (!(holder instanceof Map)) return holder instanceof Set ? `.values()[${step}]` : `[${step}]`;
  const index = step >> 1;
  if (step % 2 === 0) return `.keys()[${index}]`;
  const key: unknown = [...holder.keys()][index];
  return typeof key === 'string' || typeof key === 'number'
    ? `.get(${JSON.stringify(key)})`
    : `.values()[${index}]`;
}

/** What a value that cannot travel is, and what to do instead. */
function describe(value: unknown): { what: string; remedy: string } {
  if (typeof value === 'symbol') return { what: 'a symbol', remedy: 'send a string' };
  if (typeof value === 'function') {
    const name = nameOf(value);
    const remedy = 'send data, or a reference to a grain that has the method';
    return { what: name === '' ? 'a function' : `the function ${name}`, remedy };
  }
  const name = className(value as object);
  if (name === 'Promise') return { what: 'a Promise', remedy: 'await it and send what it gives' };
  if (/^(WeakMap|WeakSet|WeakRef|SharedArrayBuffer)$/.test(name))
    return { what: `a ${name}`, remedy: 'send what it holds' };
  return {
    what: name === '' ? 'an object with a prototype of its own' : `an instance of class ${name}`,
    remedy: `send a plain object, or register it: registerType(${name || '…'}, { encode, decode })`,
  };
}

function className(value: object): string {
  try {
    return nameOf((value as { constructor?: unknown }).constructor);
  } catch {
    return '';
  }
}

function nameOf(value: unknown): string {
  try {
    const name: unknown = typeof value === 'function' ? value.name : '';
    return typeof name === 'string' ? name : '';
  } catch {
    return '';
  }
}
