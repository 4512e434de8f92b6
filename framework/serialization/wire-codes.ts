/**
 * What Granary adds to plain MessagePack, as extension codes; `docs/protocol.md` lists the same table. Stored
 * records hold these codes too: a code is never given another meaning, and a new kind takes a new one.
 *
 * Everything else is core MessagePack: a plain object is a map with string keys, `Uint8Array` is bin, an
 * integer up to 2^53 is an int of the smallest size, any other number a float 64. (An int beyond 2^53 from
 * another language arrives as a bigint.)
 */
export const EXTENSION = Object.freeze({
  /** One byte, ignored. What most JavaScript implementations write for undefined. */
  undefined: 0,
  /** A bigint, big-endian two's complement, at least one byte. */
  bigint: 1,
  /** One array: key, value, key, value, … */
  map: 2,
  /** One array. */
  set: 3,
  /** No bytes: the Date that is none. Valid ones are MessagePack's own timestamps. */
  invalidDate: 4,
  /** One array: source, flags. */
  regExp: 5,
  /** The href, UTF-8. */
  url: 6,
  /** One byte that says of what (see `BINARY_CLASSES`), then its bytes, elements little-endian. */
  binary: 7,
  /**
   * A string that is not well-formed (half of a surrogate pair), so not UTF-8: its UTF-16 units,
   * little-endian.
   */
  illFormedText: 8,
  /** One map: an `ErrorRecord`. */
  error: 9,
  /** One array: the name given to `registerType`, and what `encode` returned. */
  registered: 10,
  /** A grain id, UTF-8. */
  reference: 11,
  /** MessagePack's timestamp (-1), of 32, 64 or 96 bits; parts of a millisecond are dropped on arrival. */
  timestamp: 0xff,
});

/**
 * Classes of raw bytes; the index is the first byte of a `binary` extension. `Uint8Array` is not among them:
 * it is bin.
 */
export const BINARY_CLASSES = Object.freeze([
  ArrayBuffer,
  DataView,
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const);
