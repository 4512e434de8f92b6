import { describe, expect, test } from 'vitest';
import { inBinary } from '../../../persistence/binary-arrays.ts';

/** The header of an array of `length` elements of the type with this number in `pg_type`. */
function header(type: number, length: number): string {
  return ['00000001', '00000000', hex(type), hex(length), '00000001'].join('');
}

function hex(number: number): string {
  return number.toString(16).padStart(8, '0');
}

describe('an array in binary', () => {
  test('of texts has each in UTF-8 behind its length in bytes', () => {
    expect((inBinary(['a', '', 'é🎉']) as Buffer).toString('hex')).toBe(
      `${header(25, 3)}${hex(1)}61${hex(0)}${hex(6)}c3a9f09f8e89`,
    );
  });

  test('of numbers has 32 bits of each, of bigints 64', () => {
    expect((inBinary([1, 2 ** 31 - 1]) as Buffer).toString('hex')).toBe(
      `${header(23, 2)}${hex(4)}00000001${hex(4)}7fffffff`,
    );
    expect((inBinary([1n, 10n ** 18n - 1n]) as Buffer).toString('hex')).toBe(
      `${header(20, 2)}${hex(8)}0000000000000001${hex(8)}0de0b6b3a763ffff`,
    );
  });

  test('takes no more room than it needs, however many texts there are', () => {
    const texts = Array.from({ length: 10_000 }, (_, index) => `ж${index}`);
    const buffer = inBinary(texts) as Buffer;
    let position = 20;
    for (const text of texts) {
      const end = position + 4 + buffer.readInt32BE(position);
      expect(buffer.toString('utf8', position + 4, end)).toBe(text);
      position = end;
    }
    expect(position).toBe(buffer.length);
  });

  test('is made of arrays of one of these only: everything else stays as it is', () => {
    for (const param of ['text', 7, Buffer.from('data'), null, []]) expect(inBinary(param)).toBe(param);
  });
});
