import { PayloadTooLargeError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { type Binary, binaryClassOf, bytesOf } from './binary.ts';
import { ByteWriter } from './byte-writer.ts';
import { fieldsCopied } from './copy.ts';
import { recordOf } from './error-record.ts';
import { type Kind, kindOf } from './kinds.ts';
import { referenceId } from './references.ts';
import { type RegisteredType, registeredTypeOf } from './registered-types.ts';
import { Trail } from './trail.ts';
import { EXTENSION } from './wire-codes.ts';

/**
 * The bytes of a value: MessagePack with the extensions of `EXTENSION`, so that other languages can read
 * them. What can travel, what arrives and what is thrown are as with `copy`; checking and writing are one
 * walk. Throws `PayloadTooLargeError` beyond `LIMITS.callBytes`.
 */
export function pack(value: unknown, path: string): Uint8Array {
  const packer = idle ?? new Packer();
  idle = undefined;
  try {
    return packer.pack(value, path);
  } finally {
    idle = packer;
  }
}

/** Getters and registered classes are user code and may call in again: then another packer is made. */
let idle: Packer | undefined;

class Packer {
  readonly #trail = new Trail();
  readonly #writer = new ByteWriter();

  pack(value: unknown, path: string): Uint8Array {
    this.#trail.start(path);
    this.#writer.start();
    try {
      this.#value(value);
      if (this.#writer.size > LIMITS.callBytes) throw this.#tooLarge();
      return this.#writer.finish();
    } finally {
      this.#trail.release();
    }
  }

  #value(value: unknown): void {
    if (this.#writer.primitive(value)) return;
    if (typeof value === 'symbol') throw this.#trail.refuse(value);
    this.#object(value as object);
  }

  #object(object: object): void {
    const kind = kindOf(object);
    if (kind === 'plain' && typeof object === 'object') this.#plain(object as Record<string, unknown>);
    else if (kind === 'array') this.#array(object as unknown[]);
    else this.#rarer(kind, object);
  }

  #rarer(kind: Kind | undefined, object: object): void {
    const writer = this.#writer;
    switch (kind) {
      case 'reference':
        writer.extension(EXTENSION.reference, Buffer.from(referenceId(object)));
        break;
      case 'map':
        this.#map(object as Map<unknown, unknown>);
        break;
      case 'set':
        this.#set(object as Set<unknown>);
        break;
      case 'date':
        this.#date((object as Date).getTime());
        break;
      case 'regExp':
        this.#pair(EXTENSION.regExp, (object as RegExp).source, (object as RegExp).flags);
        break;
      case 'url':
        writer.extension(EXTENSION.url, Buffer.from((object as URL).href));
        break;
      case 'bytes':
        writer.bytes(object as Uint8Array);
        break;
      case 'binary':
        this.#binary(object as Binary);
        break;
      case 'registered':
        this.#registered(object, registeredTypeOf(object) as RegisteredType);
        break;
      case 'error':
        this.#error(object);
        break;
      default:
        throw this.#trail.refuse(object);
    }
  }

  #enter(object: object): Trail {
    if (this.#writer.size > LIMITS.callBytes) throw this.#tooLarge();
    this.#trail.enter(object);
    return this.#trail;
  }

  #plain(source: Record<string, unknown>): void {
    const trail = this.#enter(source);
    trail.refuseSymbolKeys(source);
    const keys = Object.keys(source);
    this.#writer.map(keys.length);
    for (const key of keys) {
      this.#writer.string(key);
      trail.at(key);
      this.#value(source[key]);
    }
    trail.leave();
  }

  #array(source: readonly unknown[]): void {
    const trail = this.#enter(source);
    const length = source.length;
    this.#writer.array(length);
    for (let i = 0; i < length; i++) {
      trail.at(i);
      this.#value(source[i]);
    }
    trail.leave();
  }

  #map(source: Map<unknown, unknown>): void {
    const trail = this.#enter(source);
    const begun = this.#writer.beginExtension(EXTENSION.map);
    const entries = [...source];
    this.#writer.array(2 * entries.length);
    let step = 0;
    for (const [key, value] of entries) {
      trail.at(step++);
      this.#value(key);
      trail.at(step++);
      this.#value(value);
    }
    this.#writer.endExtension(begun);
    trail.leave();
  }

  #set(source: Set<unknown>): void {
    const trail = this.#enter(source);
    const begun = this.#writer.beginExtension(EXTENSION.set);
    const values = [...source];
    this.#writer.array(values.length);
    for (let i = 0; i < values.length; i++) {
      trail.at(i);
      this.#value(values[i]);
    }
    this.#writer.endExtension(begun);
    trail.leave();
  }

  #date(ms: number): void {
    if (Number.isNaN(ms)) {
      this.#writer.extensionHeader(EXTENSION.invalidDate, 0);
      return;
    }
    const content = Buffer.alloc(12);
    const seconds = Math.floor(ms / 1000);
    content.writeUInt32BE((ms - seconds * 1000) * 1_000_000, 0);
    content.writeBigInt64BE(BigInt(seconds), 4);
    this.#writer.extension(EXTENSION.timestamp, content);
  }

  #pair(code: number, first: string, second: string): void {
    const begun = this.#writer.beginExtension(code);
    this.#writer.array(2);
    this.#writer.string(first);
    this.#writer.string(second);
    this.#writer.endExtension(begun);
  }

  #binary(value: Binary): void {
    const bytes = bytesOf(value);
    this.#writer.extensionHeader(EXTENSION.binary, 1 + bytes.length);
    this.#writer.byte(binaryClassOf(value));
    this.#writer.raw(bytes);
  }

  #registered(source: object, type: RegisteredType): void {
    const trail = this.#enter(source);
    const data = trail.encoded(type, source);
    const begun = this.#writer.beginExtension(EXTENSION.registered);
    this.#writer.array(2);
    this.#writer.string(type.name);
    trail.at('encode()');
    this.#value(data);
    this.#writer.endExtension(begun);
    trail.leave();
  }

  #error(error: object): void {
    const begun = this.#writer.beginExtension(EXTENSION.error);
    this.#object(recordOf(error, fieldsCopied()));
    this.#writer.endExtension(begun);
  }

  #tooLarge(): PayloadTooLargeError {
    const { root } = this.#trail;
    const remedy =
      root === 'state'
        ? 'split it over several records or grains'
        : 'keep what is large in a store, or send it as a stream';
    return new PayloadTooLargeError(`${root} has more than ${LIMITS.callBytes} bytes; ${remedy}`);
  }
}
