import { EXTENSION } from './wire-codes.ts';

const PAGE_BYTES = 8 * 1024;
/** A page with less than this left is given up: growing in the middle of a message costs a copy. */
const PAGE_END_BYTES = 1024;
const LARGE_BYTES = 32 * 1024;
/** Below this length a loop in JavaScript beats the call into the engine's encoder. */
const SHORT_CHARS = 48;
const TWO_32 = 0x1_0000_0000;

/**
 * Writes MessagePack. Messages are cut from pages of 8 kB, one after the other, and never overwritten: that
 * costs no copy, and is the bargain of Node's own `Buffer` pool (a small message that is kept keeps its
 * page). A message that outgrows its page takes a buffer of its own.
 *
 * Every method reserves what it writes; `start`, then values, then `finish`.
 */
export class ByteWriter {
  #buffer = Buffer.allocUnsafeSlow(PAGE_BYTES);
  #view = viewOf(this.#buffer);
  #start = 0;
  #position = 0;

  /** Begins a message, and forgets one that was not finished. */
  start(): void {
    if (this.#buffer.length !== PAGE_BYTES || PAGE_BYTES - this.#start < PAGE_END_BYTES) this.#turnPage();
    this.#position = this.#start;
  }

  /** The message. It belongs to the caller. */
  finish(): Uint8Array {
    const start = this.#start;
    this.#start = this.#position;
    return new Uint8Array(this.#buffer.buffer, start, this.#position - start);
  }

  /** Bytes of the message so far. */
  get size(): number {
    return this.#position - this.#start;
  }

  /** Writes a primitive that can travel; returns false, having written nothing, for anything else. */
  primitive(value: unknown): boolean {
    switch (typeof value) {
      case 'string':
        this.string(value);
        return true;
      case 'number':
        this.#number(value);
        return true;
      case 'boolean':
        this.byte(value ? 0xc3 : 0xc2);
        return true;
      case 'undefined':
        this.#undefined();
        return true;
      case 'bigint':
        this.#bigint(value);
        return true;
      case 'object':
        if (value !== null) return false;
        this.byte(0xc0);
        return true;
      default:
        return false;
    }
  }

  #number(value: number): void {
    this.#reserve(9);
    if (value >>> 0 === value) this.#unsigned(value);
    else if (value >> 0 === value) this.#negative(value);
    else if (Number.isSafeInteger(value)) this.#wide(value);
    else this.#float(value);
  }

  #unsigned(value: number): void {
    const buffer = this.#buffer;
    if (value < 0x80) {
      if (value === 0 && Object.is(value, -0)) this.#float(value);
      else buffer[this.#position++] = value;
    } else if (value < 0x100) {
      buffer[this.#position++] = 0xcc;
      buffer[this.#position++] = value;
    } else if (value < 0x10000) {
      buffer[this.#position++] = 0xcd;
      this.#uint16(value);
    } else {
      buffer[this.#position++] = 0xce;
      this.#uint32(value);
    }
  }

  #negative(value: number): void {
    const buffer = this.#buffer;
    if (value >= -0x20) {
      buffer[this.#position++] = value + 0x100;
    } else if (value >= -0x80) {
      buffer[this.#position++] = 0xd0;
      buffer[this.#position++] = value + 0x100;
    } else if (value >= -0x8000) {
      buffer[this.#position++] = 0xd1;
      this.#uint16(value + 0x10000);
    } else {
      buffer[this.#position++] = 0xd2;
      this.#uint32(value >>> 0);
    }
  }

  #wide(value: number): void {
    const high = Math.floor(value / TWO_32);
    this.#buffer[this.#position++] = value < 0 ? 0xd3 : 0xcf;
    this.#uint32(high >>> 0);
    this.#uint32(value - high * TWO_32);
  }

  #float(value: number): void {
    this.#buffer[this.#position++] = 0xcb;
    this.#view.setFloat64(this.#position, value);
    this.#position += 8;
  }

  #bigint(value: bigint): void {
    let digits = (value < 0n ? ~value : value).toString(16);
    // The first bit is the sign; a leading digit of 8 or more would set it.
    if (digits.length % 2 === 1) digits = `0${digits}`;
    else if (digits >= '8') digits = `00${digits}`;
    const bytes = Buffer.from(digits, 'hex');
    if (value < 0n) for (let i = 0; i < bytes.length; i++) bytes[i] = ~(bytes[i] as number);
    this.extension(EXTENSION.bigint, bytes);
  }

  #undefined(): void {
    this.#reserve(3);
    this.#buffer[this.#position++] = 0xd4;
    this.#buffer[this.#position++] = EXTENSION.undefined;
    this.#buffer[this.#position++] = 0;
  }

  string(value: string): void {
    const chars = value.length;
    if (chars < SHORT_CHARS) {
      this.#reserve(chars + 2);
      const buffer = this.#buffer;
      let position = this.#position + (chars < 0x20 ? 1 : 2);
      let i = 0;
      for (; i < chars; i++) {
        const code = value.charCodeAt(i);
        if (code >= 0x80) break;
        buffer[position++] = code;
      }
      if (i === chars) {
        if (chars < 0x20) {
          buffer[this.#position] = 0xa0 | chars;
        } else {
          buffer[this.#position] = 0xd9;
          buffer[this.#position + 1] = chars;
        }
        this.#position = position;
        return;
      }
    }
    this.#longString(value);
  }

  #longString(value: string): void {
    if (!(value as string & { isWellFormed(): boolean }).isWellFormed()) {
      this.extension(EXTENSION.illFormedText, Buffer.from(value, 'utf16le'));
      return;
    }
    const bytes = Buffer.byteLength(value);
    this.#reserve(bytes + 5);
    if (bytes < 0x20) this.#buffer[this.#position++] = 0xa0 | bytes;
    else this.#length(bytes, 0xd9);
    this.#position += this.#buffer.write(value, this.#position, bytes, 'utf8');
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length + 5);
    this.#length(value.length, 0xc4);
    this.#buffer.set(value, this.#position);
    this.#position += value.length;
  }

  /** Begins an array: as many values must follow. */
  array(length: number): void {
    this.#reserve(5);
    if (length < 0x10) this.#buffer[this.#position++] = 0x90 | length;
    else this.#wideLength(length, 0xdc);
  }

  /** Begins a map: as many keys, each with its value, must follow. */
  map(size: number): void {
    this.#reserve(5);
    if (size < 0x10) this.#buffer[this.#position++] = 0x80 | size;
    else this.#wideLength(size, 0xde);
  }

  /** An extension of known content. */
  extension(code: number, content: Uint8Array): void {
    this.extensionHeader(code, content.length);
    this.#reserve(content.length);
    this.#buffer.set(content, this.#position);
    this.#position += content.length;
  }

  /** Begins an extension of `length` bytes. */
  extensionHeader(code: number, length: number): void {
    this.#reserve(6);
    this.#length(length, 0xc7);
    this.#buffer[this.#position++] = code;
  }

  /** Bytes without a header, as content of an extension. */
  raw(content: Uint8Array): void {
    this.#reserve(content.length);
    this.#buffer.set(content, this.#position);
    this.#position += content.length;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#position++] = value;
  }

  /** Begins an extension whose content is values still to be written. Returns what `endExtension` needs. */
  beginExtension(code: number): number {
    this.#reserve(6);
    this.#buffer[this.#position++] = 0xc9;
    this.#position += 4;
    this.#buffer[this.#position++] = code;
    return this.size;
  }

  endExtension(begun: number): void {
    this.#view.setUint32(this.#start + begun - 5, this.size - begun);
  }

  #uint16(value: number): void {
    const buffer = this.#buffer;
    buffer[this.#position++] = value >>> 8;
    buffer[this.#position++] = value & 0xff;
  }

  #uint32(value: number): void {
    this.#view.setUint32(this.#position, value);
    this.#position += 4;
  }

  /** A length of 8, 16 or 32 bits after the token for that size; the tokens follow each other. */
  #length(length: number, token8: number): void {
    if (length < 0x100) {
      this.#buffer[this.#position++] = token8;
      this.#buffer[this.#position++] = length;
    } else {
      this.#wideLength(length, token8 + 1);
    }
  }

  #wideLength(length: number, token16: number): void {
    if (length < 0x10000) {
      this.#buffer[this.#position++] = token16;
      this.#uint16(length);
    } else {
      this.#buffer[this.#position++] = token16 + 1;
      this.#uint32(length);
    }
  }

  #reserve(bytes: number): void {
    if (this.#position + bytes > this.#buffer.length) this.#grow(bytes);
  }

  #grow(bytes: number): void {
    const written = this.#buffer.subarray(this.#start, this.#position);
    // What is known to be large is mostly all there is: twice the room for it would be wasted.
    const needed = written.length + bytes;
    const room = bytes > LARGE_BYTES ? Math.max(needed + PAGE_BYTES, 1.25 * written.length) : 2 * needed;
    const buffer = Buffer.allocUnsafeSlow(Math.max(Math.ceil(room), 2 * PAGE_BYTES));
    buffer.set(written);
    this.#use(buffer);
    this.#position = written.length;
  }

  #turnPage(): void {
    this.#use(Buffer.allocUnsafeSlow(PAGE_BYTES));
  }

  #use(buffer: Buffer<ArrayBuffer>): void {
    this.#buffer = buffer;
    this.#view = viewOf(buffer);
    this.#start = 0;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
