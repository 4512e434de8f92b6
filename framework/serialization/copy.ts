import { type Binary, binaryCopy } from './binary.ts';
import { defineField } from './define-field.ts';
import { errorOf, recordOf } from './error-record.ts';
import { isImmutable } from './immutable.ts';
import { isInline, type Kind, kindOf } from './kinds.ts';
import { createReference, type RefBinder, referenceId } from './references.ts';
import { decodeRegistered, type RegisteredType, registeredTypeOf } from './registered-types.ts';
import { Trail } from './trail.ts';

/**
 * A deep copy by the rules of what can travel, so that a call within one process shares nothing with its
 * caller and fails like one between two. Primitives, and what `immutable()` marks, are passed as they are;
 * references are made anew, bound by `rebind`.
 *
 * As on the wire: objects arrive with `Object.prototype` and their own enumerable string keys, accessors as
 * their values, holes as undefined, a `Buffer` as `Uint8Array`, a `RegExp` with `lastIndex` 0; an array has
 * its elements only; an object that is reached twice arrives twice. Throws `NotSerializableError` with the
 * path of the first value that cannot travel.
 */
export function copy<T>(value: T, path: string, rebind?: RefBinder): T {
  if (isInline(value)) return value;
  const copier = idle ?? new Copier();
  idle = undefined;
  try {
    return copier.copy(value, path, rebind) as T;
  } finally {
    idle = copier;
  }
}

/** Getters and registered classes are user code and may call in again: then another copier is made. */
let idle: Copier | undefined;

class Copier {
  readonly #trail = new Trail();
  #rebind: RefBinder;

  copy(value: unknown, path: string, rebind: RefBinder): unknown {
    this.#rebind = rebind;
    this.#trail.start(path);
    try {
      return this.#nested(value);
    } finally {
      this.#rebind = undefined;
      this.#trail.release();
    }
  }

  /** The copy of anything that is not inline. */
  #nested(value: unknown): unknown {
    if (typeof value === 'symbol') throw this.#trail.refuse(value);
    const object = value as object;
    if (isImmutable(object)) return object;
    const kind = kindOf(object);
    if (kind === 'plain' && typeof object === 'object') return this.#plain(object as Record<string, unknown>);
    if (kind === 'array') return this.#array(object as unknown[]);
    return this.#rarer(kind, object);
  }

  #rarer(kind: Kind | undefined, object: object): unknown {
    switch (kind) {
      case 'reference':
        return createReference(referenceId(object), this.#rebind);
      case 'map':
        return this.#map(object as Map<unknown, unknown>);
      case 'set':
        return this.#set(object as Set<unknown>);
      case 'date':
        return new Date((object as Date).getTime());
      case 'regExp':
        return new RegExp((object as RegExp).source, (object as RegExp).flags);
      case 'url':
        return new URL((object as URL).href);
      case 'bytes':
        return new Uint8Array(object as Uint8Array);
      case 'binary':
        return binaryCopy(object as Binary);
      case 'registered':
        return this.#registered(object, registeredTypeOf(object) as RegisteredType);
      case 'error':
        return errorOf(recordOf(object, fieldsCopied(this.#rebind)));
      default:
        throw this.#trail.refuse(object);
    }
  }

  #plain(source: Record<string, unknown>): object {
    const trail = this.#trail;
    trail.enter(source);
    trail.refuseSymbolKeys(source);
    const target: Record<string, unknown> = {};
    for (const key of Object.keys(source)) {
      let value = source[key];
      if (!isInline(value)) {
        trail.at(key);
        value = this.#nested(value);
      }
      if (key === '__proto__') defineField(target, key, value);
      else target[key] = value;
    }
    trail.leave();
    return target;
  }

  #array(source: readonly unknown[]): unknown[] {
    const trail = this.#trail;
    trail.enter(source);
    const target: unknown[] = [];
    for (let i = 0; i < source.length; i++) {
      let value = source[i];
      if (!isInline(value)) {
        trail.at(i);
        value = this.#nested(value);
      }
      target.push(value);
    }
    trail.leave();
    return target;
  }

  #map(source: Map<unknown, unknown>): Map<unknown, unknown> {
    const trail = this.#trail;
    trail.enter(source);
    const target = new Map<unknown, unknown>();
    let step = 0;
    for (const [key, value] of source) {
      const keyCopy = this.#part(step++, key);
      target.set(keyCopy, this.#part(step++, value));
    }
    trail.leave();
    return target;
  }

  #set(source: Set<unknown>): Set<unknown> {
    const trail = this.#trail;
    trail.enter(source);
    const target = new Set<unknown>();
    let step = 0;
    for (const value of source) target.add(this.#part(step++, value));
    trail.leave();
    return target;
  }

  #part(step: number | string, value: unknown): unknown {
    if (isInline(value)) return value;
    this.#trail.at(step);
    return this.#nested(value);
  }

  #registered(source: object, type: RegisteredType): object {
    this.#trail.enter(source);
    const data = this.#part('encode()', this.#trail.encoded(type, source));
    this.#trail.leave();
    return decodeRegistered(type, data);
  }
}

/** How fields of errors are taken. Nobody sees the path: a field that cannot travel is left out. */
export function fieldsCopied(rebind?: RefBinder): (value: unknown) => unknown {
  return (value) => copy(value, '', rebind);
}
