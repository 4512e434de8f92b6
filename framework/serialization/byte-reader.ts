import { MalformedError } from './malformed-error.ts';
import { EXTENSION } from './wire-codes.ts';

/**
 * Up to this length a string is looked up among those seen lately, which are mostly names: of fields, methods
 * and grains.
 */
const CACHED_CHARS = 24;
const CACHE_SLOTS = 4096;
const CACHE: string[] = new Array<string>(CACHE_SLOTS).fill('');
const TWO_32 = 0x1_0000_0000;
const EMPTY = new Uint8Array();
const SCRATCH = new DataView(new ArrayBuffer(8));

/**
 * Reads MessagePack tokens that somebody else wrote. Trusts nothing: every read stays before `end`, every
 * declared length is held against the bytes that are left before anything is allocated for it.
 */
export class ByteReader {
  #bytes: Uint8Array = EMPTY;
  /** The same bytes, made when the first long string needs it. */
  #buffer: Buffer | undefined;
  #position = 0;
  #end = 0;

  start(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#buffer = undefined;
    this.#position = 0;
    this.#end = bytes.length;
  }

  /** Lets go of the bytes. */
  release(): void {
    this.#bytes = EMPTY;
    this.#buffer = undefined;
  }

  expectEnd(): void {
    if (this.#position !== this.#end)
      throw new MalformedError(`${this.#end - this.#position} bytes too many`);
  }

  /**
   * Narrows what may be read to the next `length` bytes; returns the end before, to be given back to `widen`.
   */
  narrow(length: number): number {
    if (length > this.#end - this.#position) throw truncated();
    const end = this.#end;
    this.#end = this.#position + length;
    return end;
  }

  widen(end: number): void {
    this.expectEnd();
    this.#end = end;
  }

  /**
   * Checks that `count` values of at least `bytesEach` can follow, so that a length cannot make anyone
   * allocate or loop.
   */
  expectValues(count: number, bytesEach: number): void {
    if (count * bytesEach > this.#end - this.#position) throw truncated();
  }

  byte(): number {
    if (this.#position >= this.#end) throw truncated();
    return this.#bytes[this.#position++] as number;
  }

  uint16(): number {
    const position = this.#advance(2);
    const bytes = this.#bytes;
    return ((bytes[position] as number) << 8) | (bytes[position + 1] as number);
  }

  int32(): number {
    return (this.uint16() << 16) | this.uint16();
  }

  uint32(): number {
    return this.int32() >>> 0;
  }

  /** The primitive that a token of a wider kind than one byte begins. */
  primitive(token: number): unknown {
    switch (token) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xca:
        SCRATCH.setUint32(0, this.uint32());
        return SCRATCH.getFloat32(0);
      case 0xcb:
        SCRATCH.setUint32(0, this.uint32());
        SCRATCH.setUint32(4, this.uint32());
        return SCRATCH.getFloat64(0);
      case 0xcc:
        return this.byte();
      case 0xcd:
        return this.uint16();
      case 0xce:
        return this.uint32();
      case 0xcf:
        return int64(this.uint32(), this.uint32());
      case 0xd0:
        return (this.byte() << 24) >> 24;
      case 0xd1:
        return (this.uint16() << 16) >> 16;
      case 0xd2:
        return this.int32();
      case 0xd3:
        return int64(this.int32(), this.uint32());
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.string(this.length(token - 0xd9));
      default:
        throw new MalformedError(`the byte ${token} begins no value that may be here`);
    }
  }

  /** A length of 8, 16 or 32 bits, for a size of 0, 1 or 2. */
  length(size: number): number {
    if (size === 0) return this.byte();
    return size === 1 ? this.uint16() : this.uint32();
  }

  /** The content of the extensions that are primitives. */
  extendedPrimitive(code: number, length: number): undefined | bigint | string {
    switch (code) {
      case EXTENSION.undefined:
        this.#advance(length);
        return undefined;
      case EXTENSION.bigint:
        return bigintOf(this.view(length));
      case EXTENSION.illFormedText:
        if (length % 2 !== 0) throw new MalformedError('half of a UTF-16 unit');
        return this.#text('utf16le', this.#advance(length), length);
      default:
        throw new MalformedError(`no extension ${code} may be here`);
    }
  }

  /** UTF-8 of `length` bytes. Invalid sequences become U+FFFD. */
  string(length: number): string {
    const position = this.#advance(length);
    return length <= CACHED_CHARS
      ? this.#shortString(position, length)
      : this.#text('utf8', position, length);
  }

  /**
   * Finds a short ASCII string in the cache, which is cheaper than making it, and gives equal names one copy.
   */
  #shortString(position: number, length: number): string {
    if (length === 0) return '';
    const bytes = this.#bytes;
    const last = position + length - 1;
    // Names differ at the end, if at all: `page-17`, `page-18`.
    let hash = Math.imul(length, 31) ^ (bytes[position] as number);
    for (let i = last; i >= position && i > last - 4; i--) hash = Math.imul(hash, 31) + (bytes[i] as number);
    const slot = (hash ^ (hash >>> 12)) & (CACHE_SLOTS - 1);
    const known = CACHE[slot] as string;
    if (known.length === length) {
      let i = 0;
      while (i < length && known.charCodeAt(i) === bytes[position + i]) i++;
      if (i === length) return known;
    }
    for (let i = position; i <= last; i++)
      if ((bytes[i] as number) >= 0x80) return this.#text('utf8', position, length);
    const made = this.#text('latin1', position, length);
    CACHE[slot] = made;
    return made;
  }

  #text(encoding: BufferEncoding, position: number, length: number): string {
    const bytes = this.#bytes;
    this.#buffer ??= Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return this.#buffer.toString(encoding, position, position + length);
  }

  /** The next bytes where they lie: they belong to whoever owns the message. */
  view(length: number): Uint8Array {
    const position = this.#advance(length);
    return this.#bytes.subarray(position, position + length);
  }

  /** The next bytes in a buffer of their own. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.view(length));
  }

  #advance(length: number): number {
    const position = this.#position;
    if (length > this.#end - position || length < 0) throw truncated();
    this.#position = position + length;
    return position;
  }
}

/** A number if it can hold the value exactly, else a bigint. */
function int64(high: number, low: number): number | bigint {
  const value = high * TWO_32 + low;
  return Number.isSafeInteger(value) ? value : BigInt(high) * BigInt(TWO_32) + BigInt(low);
}

function bigintOf(bytes: Uint8Array): bigint {
  if (bytes.length === 0) throw new MalformedError('a bigint without bytes');
  return BigInt.asIntN(8 * bytes.length, BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
}

function truncated(): MalformedError {
  return new MalformedError('the bytes end too early');
}
