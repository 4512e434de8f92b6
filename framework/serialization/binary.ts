import { endianness } from 'node:os';
import { assert } from '../errors.ts';
import { BINARY_CLASSES } from './wire-codes.ts';

/** Raw bytes other than `Uint8Array`: buffers, views, and arrays of wider elements. */
export type Binary = ArrayBuffer | ArrayBufferView;

type BinaryClass = new (buffer: ArrayBuffer) => Binary;

/** Which of `BINARY_CLASSES` a value is of. */
export function binaryClassOf(value: Binary): number {
  const prototype = Object.getPrototypeOf(value) as object;
  return BINARY_CLASSES.findIndex((type) => type.prototype === prototype);
}

/** The bytes of a value, where they lie. */
export function bytesOf(value: Binary): Uint8Array {
  assert(endianness() === 'LE', 'the bytes of typed arrays travel little-endian, and this machine is not');
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value);
}

/**
 * A value of a class over bytes that become its own. Undefined when there is no such class, or they are no
 * whole elements.
 */
export function binaryOf(index: number, bytes: Uint8Array<ArrayBuffer>): Binary | undefined {
  const type = BINARY_CLASSES[index];
  if (type === undefined) return undefined;
  if (type === ArrayBuffer) return bytes.buffer;
  const elementBytes = 'BYTES_PER_ELEMENT' in type ? type.BYTES_PER_ELEMENT : 1;
  return bytes.length % elementBytes === 0 ? new (type as BinaryClass)(bytes.buffer) : undefined;
}

export function binaryCopy(value: Binary): Binary {
  return binaryOf(binaryClassOf(value), new Uint8Array(bytesOf(value))) as Binary;
}
