import { assert } from '../errors.ts';
import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { MalformedError } from './malformed-error.ts';

/**
 * Frames are what the messaging layer sends: nested arrays of primitives and bytes, the same MessagePack as
 * `pack` without the rest of its kinds. Nothing is checked that our own code guarantees, and nothing is
 * copied that need not be.
 */

/** Frame, item, list within the item: more means that the bytes are no frame. */
const FRAME_DEPTH = 8;

const writer = new ByteWriter();
const reader = new ByteReader();

/** The bytes of a frame. They belong to the caller and are never overwritten. */
export function encodeFrame(items: readonly unknown[]): Uint8Array {
  writer.start();
  writeItems(items);
  return writer.finish();
}

function writeItems(items: readonly unknown[]): void {
  writer.array(items.length);
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    if (writer.primitive(item)) continue;
    if (Array.isArray(item)) {
      writeItems(item);
    } else {
      assert(item instanceof Uint8Array, 'a frame holds nothing but primitives, bytes and arrays');
      writer.bytes(item);
    }
  }
}

/**
 * The items of a frame that anyone may have sent. Bytes among them are views on the frame, which must
 * therefore not be reused. Throws `MalformedError` for anything but one whole array of what frames may hold.
 */
export function decodeFrame(bytes: Uint8Array): unknown[] {
  reader.start(bytes);
  try {
    const items = readItem(0);
    if (!Array.isArray(items)) throw new MalformedError('a frame is an array');
    reader.expectEnd();
    return items;
  } finally {
    reader.release();
  }
}

function readItem(depth: number): unknown {
  const token = reader.byte();
  if (token < 0x80) return token;
  if (token >= 0xe0) return token - 0x100;
  if (token >= 0xa0 && token < 0xc0) return reader.string(token & 0x1f);
  if (token >= 0x90 && token < 0xa0) return readItems(token & 0x0f, depth);
  switch (token) {
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return reader.view(reader.length(token - 0xc4));
    case 0xc7:
    case 0xc8:
    case 0xc9:
      return readExtension(reader.length(token - 0xc7));
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
      return readExtension(1 << (token - 0xd4));
    case 0xdc:
    case 0xdd:
      return readItems(reader.length(token - 0xdb), depth);
    default:
      return reader.primitive(token);
  }
}

function readItems(length: number, depth: number): unknown[] {
  if (depth >= FRAME_DEPTH) throw new MalformedError(`nested more than ${FRAME_DEPTH} levels deep`);
  reader.expectValues(length, 1);
  // Of its final length: one that grows begins with room for 17, and most items have three or six.
  const items = new Array<unknown>(length);
  for (let i = 0; i < length; i++) items[i] = readItem(depth + 1);
  return items;
}

function readExtension(length: number): unknown {
  const code = reader.byte();
  return reader.extendedPrimitive(code, length);
}
