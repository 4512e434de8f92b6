import { encodeFrame } from '../serialization/codec.ts';
import type { Item } from './frames.ts';

/** Bytes from which on a field is not copied into what is cut, but cut where it lies. */
const IN_PLACE_BYTES = 4 * 1024;

/** MessagePack's arrays of fewer than 16 fields begin with this and their number. */
const FEW = 0x90;
/** The length of `longBytes`. */
const LONG_BYTES = 5;

/**
 * Items as one sequence of bytes, a MessagePack array of them, which is never put together: pieces are cut
 * from where the bytes lie, so that an argument of 8 MB costs no copy of 8 MB before its first part leaves.
 */
export class Pieces {
  readonly #segments: Uint8Array[];
  readonly length: number;

  constructor(items: readonly Item[]) {
    const header = Uint8Array.of(0xdc, items.length >> 8, items.length & 0xff);
    this.#segments = [header, ...items.flatMap(segmentsOf)];
    this.length = this.#segments.reduce((sum, { length }) => sum + length, 0);
  }

  /** A frame of some fields and, as the last one, the bytes from `start` to `end`; not a byte too long. */
  frame(fields: readonly unknown[], start: number, end: number): Uint8Array {
    const head = encodeFrame(fields);
    const content = head.length + LONG_BYTES;
    const frame = Buffer.allocUnsafeSlow(content + end - start);
    frame.set(head);
    frame.set(longBytes(end - start), head.length);
    frame[0] = FEW | (fields.length + 1);
    let offset = 0;
    for (const segment of this.#segments) {
      const from = Math.max(start - offset, 0);
      const to = Math.min(end - offset, segment.length);
      if (from < to) frame.set(segment.subarray(from, to), content + offset + from - start);
      offset += segment.length;
      if (offset >= end) break;
    }
    return frame;
  }
}

/** An item's encoding; its content, if that is long, as a segment of its own. */
function segmentsOf(item: Item): Uint8Array[] {
  const at = item.findIndex((field) => field instanceof Uint8Array && field.length >= IN_PLACE_BYTES);
  if (at < 0) return [encodeFrame(item)];
  const content = item[at] as Uint8Array;
  const before = encodeFrame(item.slice(0, at));
  // Items have fewer than 16 fields, so how many there are is in the first byte; here it counts them all.
  before[0] = FEW | item.length;
  return [before, longBytes(content.length), content, encodeFrame(item.slice(at + 1)).subarray(1)];
}

/** What MessagePack has before bytes. */
function longBytes(length: number): Uint8Array {
  return Uint8Array.of(0xc6, length >>> 24, length >>> 16, length >>> 8, length);
}
