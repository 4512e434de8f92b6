import { NotSerializableError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { binaryOf } from './binary.ts';
import { ByteReader } from './byte-reader.ts';
import { defineField } from './define-field.ts';
import { errorOf } from './error-record.ts';
import { MalformedError } from './malformed-error.ts';
import { createReference, type RefBinder } from './references.ts';
import { decodeRegistered, registeredType } from './registered-types.ts';
import { EXTENSION } from './wire-codes.ts';

/**
 * The value of bytes that anyone may have sent. It shares no memory with them. References are bound by
 * `rebind`. Throws `MalformedError` for anything but one whole value, and `NotSerializableError` when it
 * holds an instance of a class that is not registered here, or whose registered `decode` threw.
 */
export function unpack(bytes: Uint8Array, rebind?: RefBinder): unknown {
  const unpacker = idle ?? new Unpacker();
  idle = undefined;
  try {
    return unpacker.unpack(bytes, rebind);
  } finally {
    idle = unpacker;
  }
}

/** `decode` of registered classes is user code and may call in again: then another unpacker is made. */
let idle: Unpacker | undefined;

class Unpacker {
  readonly #reader = new ByteReader();
  #rebind: RefBinder;
  #depth = 0;

  unpack(bytes: Uint8Array, rebind: RefBinder): unknown {
    this.#rebind = rebind;
    this.#depth = 0;
    this.#reader.start(bytes);
    try {
      const value = this.#value();
      this.#reader.expectEnd();
      return value;
    } finally {
      this.#rebind = undefined;
      this.#reader.release();
    }
  }

  #value(): unknown {
    const token = this.#reader.byte();
    if (token < 0x80) return token;
    if (token >= 0xe0) return token - 0x100;
    if (token < 0x90) return this.#object(token & 0x0f);
    if (token < 0xa0) return this.#array(token & 0x0f);
    if (token < 0xc0) return this.#reader.string(token & 0x1f);
    return this.#longer(token);
  }

  #longer(token: number): unknown {
    const reader = this.#reader;
    switch (token) {
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return reader.bytes(reader.length(token - 0xc4));
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.#extension(reader.length(token - 0xc7));
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(1 << (token - 0xd4));
      case 0xdc:
      case 0xdd:
        return this.#array(reader.length(token - 0xdb));
      case 0xde:
      case 0xdf:
        return this.#object(reader.length(token - 0xdd));
      default:
        return reader.primitive(token);
    }
  }

  #enter(): void {
    if (++this.#depth > LIMITS.valueDepth)
      throw new MalformedError(`nested more than ${LIMITS.valueDepth} levels deep`);
  }

  #array(length: number): unknown[] {
    this.#enter();
    this.#reader.expectValues(length, 1);
    const array: unknown[] = [];
    for (let i = 0; i < length; i++) array.push(this.#value());
    this.#depth--;
    return array;
  }

  #object(size: number): object {
    this.#enter();
    this.#reader.expectValues(size, 2);
    const object: Record<string, unknown> = {};
    for (let i = 0; i < size; i++) {
      const key = this.#value();
      if (typeof key !== 'string') throw new MalformedError('the key of an object is not a string');
      if (key === '__proto__') defineField(object, key, this.#value());
      else object[key] = this.#value();
    }
    this.#depth--;
    return object;
  }

  #extension(length: number): unknown {
    const reader = this.#reader;
    const code = reader.byte();
    const end = reader.narrow(length);
    const value = this.#content(code, length);
    reader.widen(end);
    return value;
  }

  #content(code: number, length: number): unknown {
    const reader = this.#reader;
    switch (code) {
      case EXTENSION.map:
        return this.#map();
      case EXTENSION.set:
        return new Set(this.#list());
      case EXTENSION.timestamp:
        return dateOf(reader.view(length));
      case EXTENSION.invalidDate:
        return new Date(Number.NaN);
      case EXTENSION.regExp:
        return this.#regExp();
      case EXTENSION.url:
        return urlOf(reader.string(length));
      case EXTENSION.binary:
        return this.#binary(length);
      case EXTENSION.error:
        return errorOf(this.#value());
      case EXTENSION.registered:
        return this.#registered();
      case EXTENSION.reference:
        return this.#reference(reader.string(length));
      default:
        return reader.extendedPrimitive(code, length);
    }
  }

  #list(): unknown[] {
    const list = this.#value();
    if (!Array.isArray(list)) throw new MalformedError('an extension does not hold the array that it should');
    return list;
  }

  #map(): Map<unknown, unknown> {
    const list = this.#list();
    if (list.length % 2 !== 0) throw new MalformedError('a map with a key that has no value');
    const map = new Map<unknown, unknown>();
    for (let i = 0; i < list.length; i += 2) map.set(list[i], list[i + 1]);
    return map;
  }

  #regExp(): RegExp {
    const [source, flags] = this.#list();
    if (typeof source !== 'string' || typeof flags !== 'string')
      throw new MalformedError('a regular expression that is no text');
    try {
      return new RegExp(source, flags);
    } catch (cause) {
      throw new MalformedError('not a regular expression', { cause });
    }
  }

  #binary(length: number): object {
    const index = this.#reader.byte();
    const value = binaryOf(index, this.#reader.bytes(length - 1));
    if (value === undefined) throw new MalformedError(`no bytes of class ${index}`);
    return value;
  }

  #registered(): object {
    const [name, data] = this.#list();
    if (typeof name !== 'string') throw new MalformedError('a registered class without a name');
    const type = registeredType(name);
    if (type !== undefined) return decodeRegistered(type, data);
    throw new NotSerializableError(
      `a value of the registered class '${name}' arrived, ` +
        'and this process does not know it: call registerType here too',
    );
  }

  #reference(id: string): object {
    try {
      return createReference(id, this.#rebind);
    } catch (cause) {
      throw new MalformedError('not a reference to a grain', { cause });
    }
  }
}

function dateOf(bytes: Uint8Array): Date {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  switch (bytes.length) {
    case 4:
      return timestamp(view.getUint32(0), 0);
    case 8:
      return timestamp((view.getUint32(0) & 3) * 0x1_0000_0000 + view.getUint32(4), view.getUint32(0) >>> 2);
    case 12:
      return timestamp(Number(view.getBigInt64(4)), view.getUint32(0));
    default:
      throw new MalformedError(`no timestamp has ${bytes.length} bytes`);
  }
}

function timestamp(seconds: number, nanoseconds: number): Date {
  return new Date(1000 * seconds + Math.floor(nanoseconds / 1_000_000));
}

function urlOf(href: string): URL {
  try {
    return new URL(href);
  } catch (cause) {
    throw new MalformedError('not a URL', { cause });
  }
}
