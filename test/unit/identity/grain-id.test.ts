import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { InvalidKeyError } from '../../../framework/errors.ts';
import {
  canonicalKey,
  type GrainKey,
  grainIdOf,
  isGrainId,
  keyOf,
  keyParts,
  typeOf,
} from '../../../framework/identity/grain-id.ts';
import { hash32 } from '../../../framework/identity/hash.ts';
import { isNodeName, nodeAddress, nodeName } from '../../../framework/identity/silo-address.ts';
import { LIMITS } from '../../../framework/limits.ts';

/** Texts full of what the canonical form must escape or could confuse. */
const nasty = fc.string({
  unit: fc.constantFrom(...'a%/.*> \n\u0000\u007fé2F5'),
  minLength: 1,
  maxLength: 12,
});
const text = fc.oneof(nasty, fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }));
const part = fc.oneof(text, fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.bigInt());
const key = fc.oneof(part, fc.array(part, { minLength: 1, maxLength: 4 }));

const partsOf = (value: GrainKey) => (Array.isArray(value) ? value : [value]).map((each) => String(each));

describe('the canonical form of a key', () => {
  it('gives back the parts that it was made of, as texts', () => {
    fc.assert(
      fc.property(key, (value) => {
        expect(keyParts(canonicalKey('T', value))).toEqual(partsOf(value));
      }),
    );
  });

  it('is the same exactly for keys of the same parts', () => {
    fc.assert(
      fc.property(key, key, (one, other) => {
        const same = JSON.stringify(partsOf(one)) === JSON.stringify(partsOf(other));
        expect(canonicalKey('T', one) === canonicalKey('T', other)).toBe(same);
      }),
      { numRuns: 1_000 },
    );
    expect(canonicalKey('T', ['a', 'b'])).not.toBe(canonicalKey('T', 'a/b'));
    expect(canonicalKey('T', 'a%2Fb')).not.toBe(canonicalKey('T', 'a/b'));
    expect(canonicalKey('T', 42)).toBe(canonicalKey('T', '42'));
    expect(canonicalKey('T', 42n)).toBe(canonicalKey('T', 42));
    expect(canonicalKey('T', -0)).toBe(canonicalKey('T', 0));
  });

  it('makes a grain id, whose type and key are found again', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z][A-Za-z0-9]{0,9}$/), key, (type, value) => {
        const id = grainIdOf(type, canonicalKey(type, value));
        expect(isGrainId(id)).toBe(true);
        expect([typeOf(id), keyOf(id)]).toEqual([type, canonicalKey(type, value)]);
      }),
    );
  });

  it('holds no control character, so that every store can keep it', () => {
    const control = (text: string) => [...text].some((c) => c < ' ' || c === '\u007f');
    fc.assert(
      fc.property(key, (value) => {
        expect(control(canonicalKey('T', value))).toBe(false);
      }),
    );
  });

  it('takes 512 bytes of UTF-8 and no more, counted before escaping', () => {
    const max = LIMITS.keyBytes;
    expect(canonicalKey('T', '/'.repeat(max))).toHaveLength(3 * max);
    expect(isGrainId(grainIdOf('T'.repeat(LIMITS.nameChars), canonicalKey('T', '/'.repeat(max))))).toBe(true);
    expect(canonicalKey('T', 'é'.repeat(max / 2))).toBe('é'.repeat(max / 2));
    expect(() => canonicalKey('T', 'x'.repeat(max + 1))).toThrow(InvalidKeyError);
    expect(() => canonicalKey('T', 'é'.repeat(max / 2 + 1))).toThrow(/513|514/);
    expect(() => canonicalKey('T', ['x'.repeat(max), 'y'])).toThrow(InvalidKeyError);
  });

  test.each([
    ['an empty text', ''],
    ['an empty list', []],
    ['an empty part', ['a', '']],
    ['NaN', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
    ['a nested list', [['a']]],
    ['nothing', undefined],
    ['null', null],
    ['an object', {}],
    ['a boolean', true],
    ['a symbol', Symbol('s')],
    ['half of a surrogate pair', 'a\ud83d'],
    ['the other half', ['\udc00b']],
  ])('does not exist for %s', (_what, value) => {
    expect(() => canonicalKey('T', value as GrainKey)).toThrow(InvalidKeyError);
  });
});

describe('a text from the wire', () => {
  it('is a grain id exactly when it is the canonical form of its own parts', () => {
    fc.assert(
      fc.property(fc.oneof(nasty, fc.stringMatching(/^T\/[a%2Ff/]{1,8}$/), fc.string()), (id) => {
        let canonical: string | undefined;
        try {
          canonical = grainIdOf(typeOf(id), canonicalKey('T', keyParts(keyOf(id))));
        } catch {
          canonical = undefined;
        }
        expect(isGrainId(id)).toBe(id.indexOf('/') > 0 && canonical === id);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    '',
    'T',
    '/',
    'T/',
    '/k',
    'T//',
    'T/a//b',
    'T/%',
    'T/%zz',
    'T/%2f',
    'T/%41',
    'T/a\n',
    'T/\ud800',
  ])('%j is no grain id', (id) => {
    expect(isGrainId(id)).toBe(false);
  });

  test.each([1, null, undefined, {}, ['T/a'], `T/${'a'.repeat(513)}`, `T/${'a/'.repeat(2_000)}a`])(
    '%j is no grain id either',
    (id) => {
      expect(isGrainId(id)).toBe(false);
    },
  );
});

describe('the address of a silo', () => {
  it('holds its name, and differs for each of its lives', () => {
    const name = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
    const incarnation = fc.nat({ max: Number.MAX_SAFE_INTEGER });
    fc.assert(
      fc.property(name, incarnation, incarnation, (silo, one, other) => {
        expect(nodeName(nodeAddress(silo, one))).toBe(silo);
        expect(nodeAddress(silo, one) === nodeAddress(silo, other)).toBe(one === other);
      }),
    );
  });

  test.each(['', 'a b', 'a.b', 'a~1', 'a/b', 'é', 'x'.repeat(65), 7, null])('%j names no silo', (name) => {
    expect(isNodeName(name)).toBe(false);
  });
});

test('the hash spreads ids that differ in one character over all bits', () => {
  const ones = new Array<number>(32).fill(0);
  for (let i = 0; i < 10_000; i++) {
    const difference = hash32(`Counter/${i}`) ^ hash32(`Counter/${i + 1}`);
    for (let bit = 0; bit < 32; bit++) ones[bit] = (ones[bit] as number) + ((difference >>> bit) & 1);
  }
  for (const count of ones) expect(Math.abs(count - 5_000)).toBeLessThan(400);
});

test('the hash is what the protocol says, on every node and in every version', () => {
  expect(['', 'a', 'Counter/page', 'é😀'].map((text) => hash32(text))).toEqual(HASHES);
});

const HASHES = ['', 'a', 'Counter/page', 'é😀'].map(reference);

/** The same a second time, from its description: FNV-1a over UTF-16 units, MurmurHash3's finalizer. */
function reference(input: string): number {
  const multiply = (a: bigint, b: bigint) => (a * b) & 0xffff_ffffn;
  let h = 0x811c9dc5n;
  for (let i = 0; i < input.length; i++) h = multiply(h ^ BigInt(input.charCodeAt(i)), 0x01000193n);
  h = multiply(h ^ (h >> 16n), 0x85ebca6bn);
  h = multiply(h ^ (h >> 13n), 0xc2b2ae35n);
  return Number(h ^ (h >> 16n));
}
