import { deepStrictEqual, strictEqual, throws } from 'node:assert/strict';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, it } from 'vitest';
import { NotSerializableError } from '../../../framework/errors.ts';
import {
  decodeFrame,
  encodeFrame,
  MalformedError,
  pack,
  unpack,
} from '../../../framework/serialization/codec.ts';
import { arbitraryFrame, arbitraryValue } from './arbitrary-value.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

/** Runs a reader; anything but a value or one of the errors for bad bytes fails the test. */
function survives(read: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void {
  try {
    read(bytes);
  } catch (error) {
    if (!(error instanceof MalformedError) && !(error instanceof NotSerializableError)) throw error;
  }
}

/** Valid bytes with one part overwritten, cut out or repeated. */
function damaged(whole: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(whole, fc.nat(), fc.nat({ max: 8 }), fc.uint8Array({ maxLength: 8 }))
    .map(([bytes, at, length, put]) => {
      const start = bytes.length === 0 ? 0 : at % bytes.length;
      return Buffer.concat([bytes.subarray(0, start), put, bytes.subarray(start + length)]);
    });
}

const packed = arbitraryValue.map((value) => pack(value, 'x'));
const frames = arbitraryFrame.map(encodeFrame);

describe.each([
  ['unpack', unpack, packed],
  ['decodeFrame', decodeFrame, frames],
] as [string, (bytes: Uint8Array) => unknown, fc.Arbitrary<Uint8Array>][])('%s', (_name, read, whole) => {
  it('survives random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => survives(read, bytes)),
      { numRuns: 5000 },
    );
  });

  it('survives valid bytes that were damaged', () => {
    fc.assert(
      fc.property(damaged(whole), (bytes) => survives(read, bytes)),
      { numRuns: 1000 },
    );
  });

  it('refuses a value that was cut off, wherever, or that has bytes after it', () => {
    fc.assert(
      fc.property(whole, (bytes) => {
        for (let end = 0; end < bytes.length; end++)
          throws(() => read(bytes.subarray(0, end)), MalformedError);
        throws(() => read(Buffer.concat([bytes, hex('c0')])), MalformedError);
      }),
      { numRuns: 40 },
    );
  });

  const hostile: [string, Uint8Array][] = [
    ['nothing', hex('')],
    ['an array of 4 billion elements', hex('dd ffffffff')],
    ['a map of 4 billion entries', hex('df ffffffff')],
    ['4 GB of bytes', hex('c6 ffffffff')],
    ['a text of 4 GB', hex('db ffffffff')],
    ['an extension of 4 GB', hex('c9 ffffffff 02')],
    ['a million arrays in each other', Buffer.alloc(1_000_000, 0x91)],
    ['a million maps in each other', Buffer.alloc(1_000_000, hex('81 a0'))],
    ['a million sets in each other', Buffer.alloc(1_000_000, hex('c9 000f4240 03 91'))],
    ['the byte that MessagePack never uses', hex('91 c1')],
    ['an unknown extension', hex('91 d4 63 00')],
    ["msgpackr's record definitions", new Packr({ useRecords: true }).pack([{ a: 1 }, { a: 2 }])],
    ["msgpackr's pointers", hex('92 d6 69 00000001 90 d6 70 00000001')],
    ['a key that is no text', hex('81 01 02')],
    ['a key that is an array', hex('81 90 02')],
    ['an odd map', hex('c7 02 02 91 c0')],
    ['a set of no array', hex('c7 01 03 c0')],
    ['a bigint without bytes', hex('c7 00 01')],
    ['half of a UTF-16 unit', hex('d4 08 00')],
    ['a timestamp of one byte', hex('d4 ff 00')],
    ['no regular expression', hex('c7 04 05 92 a1 28 a0')],
    ['no URL', hex('c7 01 06 61')],
    ['binary of an unknown class', hex('d4 07 63')],
    ['binary without a class', hex('c7 00 07')],
    ['half of an Int32', hex('c7 03 07 06 0000')],
    ['an error without fields', hex('c7 01 09 80')],
    ['an error with a cause that is none', hex('c7 01 09 c0')],
    ['an extension with bytes after its value', hex('c7 03 03 90 c0 c0')],
    ['an extension whose value runs past its end', hex('92 c7 02 03 92 01 02')],
    ['a reference, when nobody makes references', hex('c7 03 0b 412f62')],
  ];
  it.each(hostile)('refuses %s', (_what, bytes) => {
    throws(() => read(bytes), MalformedError);
  });
});

describe('unpack', () => {
  it('pollutes no prototype, whatever the keys', () => {
    const proto = Buffer.from('\xa9__proto__', 'latin1');
    const bytes = Buffer.concat([hex('81'), proto, hex('81 a1 78 01')]);
    const value = unpack(bytes) as Record<string, unknown>;
    strictEqual(Object.getPrototypeOf(value), Object.prototype);
    strictEqual(value.x, undefined);
    strictEqual(({} as Record<string, unknown>).x, undefined);
  });

  it('shares no memory with the bytes that it reads', () => {
    const bytes = pack({ bin: new Uint8Array([1, 2, 3]), wide: new Uint16Array([1, 2]), text: 'abc' }, 'x');
    const value = unpack(bytes);
    bytes.fill(0xff);
    deepStrictEqual(value, { bin: new Uint8Array([1, 2, 3]), wide: new Uint16Array([1, 2]), text: 'abc' });
  });

  it('reads what other languages write', () => {
    strictEqual(unpack(hex('cf 0000000100000000')), 2 ** 32);
    strictEqual(unpack(hex('d3 ffffffffffffffff')), -1);
    strictEqual(unpack(hex('cf ffffffffffffffff')), 2n ** 64n - 1n);
    strictEqual(unpack(hex('d3 8000000000000000')), -(2n ** 63n));
    strictEqual(unpack(hex('ca 3fc00000')), 1.5);
    deepStrictEqual(unpack(hex('d6 ff 00000001')), new Date(1000));
    deepStrictEqual(unpack(hex('d7 ff 0000000100000002')), new Date(4_294_967_298_000));
    strictEqual(unpack(hex('d9 01 61')), 'a');
  });
});

describe('frames', () => {
  it('decode to what was encoded', () => {
    fc.assert(
      fc.property(arbitraryFrame, (items) => {
        const decoded = decodeFrame(encodeFrame(items));
        deepStrictEqual(decoded, items);
      }),
      { numRuns: 500 },
    );
  });

  it('are never overwritten by the next, large or small', () => {
    const made = Array.from({ length: 300 }, (_, i) => [i, 'x'.repeat(i * 7)]);
    const bytes = made.map(encodeFrame);
    deepStrictEqual(bytes.map(decodeFrame), made);
  });

  it('hold nothing but what frames are made of', () => {
    throws(() => encodeFrame([{ a: 1 }]), /a frame holds nothing but/);
    throws(() => decodeFrame(pack({ a: 1 }, 'x')), MalformedError);
    throws(() => decodeFrame(pack([new Date()], 'x')), MalformedError);
    throws(() => decodeFrame(pack(1, 'x')), MalformedError);
  });

  it('hand out bytes as views on the frame', () => {
    const frame = encodeFrame([new Uint8Array([1, 2, 3])]);
    strictEqual((decodeFrame(frame)[0] as Uint8Array).buffer, frame.buffer);
  });
});
