import { describe, expect, test } from 'vitest';
import { pack } from '../../../framework/serialization/codec.ts';
import { decodeRecord, encodeRecord } from '../../../framework/storage/record-format.ts';

const fields = { count: 3, tags: ['a'], ['__proto__']: 'data like any other' };

describe('a record', () => {
  test.each([
    ['plain', 1, undefined],
    ['of a later version', 7, undefined],
    ['with answers', 1, Uint8Array.of(1, 2)],
    ['with both', 2, Uint8Array.of(9)],
  ])('%s is read as it was written', (_what, version, answers) => {
    const data = encodeRecord(version, fields, answers);
    expect(decodeRecord(data, undefined)).toEqual({ version, fields, answers });
    expect(Object.hasOwn(decodeRecord(data, undefined).fields, '__proto__')).toBe(true);
  });

  test('that has neither version nor answers is one byte and its fields', () => {
    expect(Buffer.from(encodeRecord(1, { count: 3 }, undefined)).toString('hex')).toBe('0181a5636f756e7403');
  });

  test('keeps no hold of the bytes that its answers came in', () => {
    const data = encodeRecord(1, {}, Uint8Array.of(1, 2, 3));
    const { answers } = decodeRecord(data, undefined);
    data.fill(0);
    expect(answers).toEqual(Uint8Array.of(1, 2, 3));
  });

  test.each([
    [
      'of a format that is not known',
      Uint8Array.of(3, 0x80),
      /format 3, this version of Granary reads 1 and 2/,
    ],
    ['that is empty', new Uint8Array(), /format undefined/],
    ['that is cut off', encodeRecord(2, fields, undefined).subarray(0, 9), /./],
    ['that holds something else', Uint8Array.of(2, ...pack('text', 'x')), /no list of version, fields/],
    ['without fields', Uint8Array.of(2, ...pack([2], 'x')), /no list of version, fields/],
    ['with a version that is none', Uint8Array.of(2, ...pack([1.5, pack({}, 'x')], 'x')), /no list/],
    ['with answers that are none', Uint8Array.of(2, ...pack([1, pack({}, 'x'), 'no'], 'x')), /no list/],
    ['whose fields are no fields', Uint8Array.of(2, ...pack([1, pack([1], 'x')], 'x')), /no fields/],
    ['whose fields are none at all', Uint8Array.of(1, ...pack(null, 'x')), /no fields/],
  ])('%s is refused', (_what, data, message) => {
    expect(() => decodeRecord(data, undefined)).toThrow(message);
  });
});
