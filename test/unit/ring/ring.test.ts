import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { isPowerOfTwo, Ring } from '../../../framework/ring/ring.ts';

const PARTITIONS = 1_024;

const name = fc.stringMatching(/^[A-Za-z0-9_-]{1,16}$/);
const names = (min: number, max: number) => fc.uniqueArray(name, { minLength: min, maxLength: max });

/** Names as people give them: numbered, all alike. */
const numbered = (count: number, prefix = 'silo-') =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);

const primaries = (ring: Ring) => Array.from({ length: ring.partitions }, (_, p) => ring.primary(p));

function shares(ring: Ring): number[] {
  const counts = new Map(ring.silos.map((silo) => [silo, 0]));
  for (const silo of primaries(ring)) counts.set(silo as string, (counts.get(silo as string) as number) + 1);
  return [...counts.values()];
}

/** Partitions whose primary changes between two rings, by who loses and who gains them. */
function moves(before: Ring, after: Ring): { from: string | undefined; to: string | undefined }[] {
  const now = primaries(after);
  return primaries(before)
    .map((from, partition) => ({ from, to: now[partition] }))
    .filter(({ from, to }) => from !== to);
}

describe('the ring', () => {
  it('gives every silo its share within 15 %, up to 32 silos, and no two more than one apart', () => {
    const check = (silos: readonly string[]) => {
      const fair = PARTITIONS / silos.length;
      const all = shares(new Ring(PARTITIONS, silos));
      expect(Math.max(...all) - Math.min(...all)).toBeLessThanOrEqual(1);
      for (const share of all) {
        expect(Math.abs(share - fair) / fair).toBeLessThanOrEqual(0.15);
      }
    };
    for (let count = 1; count <= 32; count++) {
      check(numbered(count));
      check(numbered(count, 'granary-statefulset-'));
    }
    fc.assert(fc.property(names(1, 32), check), { numRuns: 30 });
  });

  it('lists the silos of a partition once each, its primary first, as many as are asked for', () => {
    fc.assert(
      fc.property(
        names(1, 20),
        fc.nat({ max: PARTITIONS - 1 }),
        fc.integer({ min: 1, max: 25 }),
        (silos, p, n) => {
          const ring = new Ring(PARTITIONS, silos);
          const list = ring.preferenceList(p, n);
          expect(list).toHaveLength(Math.min(n, silos.length));
          expect(new Set(list).size).toBe(list.length);
          expect(list[0]).toBe(ring.primary(p));
          expect(silos).toEqual(expect.arrayContaining(list));
          expect(ring.preferenceList(p, silos.length).slice(0, list.length)).toEqual(list);
        },
      ),
    );
  });

  it('is the same for the same silos, in whatever order they are named', () => {
    const shuffled = names(1, 16).chain((silos) =>
      fc.tuple(fc.constant(silos), fc.shuffledSubarray(silos, { minLength: silos.length })),
    );
    fc.assert(
      fc.property(shuffled, ([silos, others]) => {
        const [one, other] = [new Ring(256, silos), new Ring(256, others)];
        for (let p = 0; p < 256; p++) expect(one.preferenceList(p, 20)).toEqual(other.preferenceList(p, 20));
      }),
      { numRuns: 40 },
    );
  });

  it('moves at most one and a half of the share of a silo that joins or leaves, up to 16 silos', () => {
    const check = (silos: readonly string[], one: string) => {
      const without = new Ring(PARTITIONS, silos);
      const withIt = new Ring(PARTITIONS, [...silos, one]);
      const share = primaries(withIt).filter((silo) => silo === one).length;
      const moved = moves(without, withIt);
      const between = moved.filter(({ from, to }) => from !== one && to !== one);
      expect(moved.length).toBeLessThanOrEqual(1.5 * share);
      expect(moved.length - between.length).toBe(share);
      expect(between.length).toBeLessThanOrEqual(0.5 * share);
    };
    for (let count = 1; count <= 15; count++) check(numbered(count), `silo-${count}`);
    const cases = names(2, 16).map(([one, ...silos]) => ({ silos, one: one as string }));
    fc.assert(
      fc.property(cases, ({ silos, one }) => check(silos, one)),
      { numRuns: 60 },
    );
  });

  it('puts grains into partitions evenly, by their id alone', () => {
    const ring = new Ring(64, ['a']);
    const counts = new Array<number>(64).fill(0);
    for (let i = 0; i < 64_000; i++) {
      const partition = ring.partitionOf(`Counter/${i}`);
      counts[partition] = (counts[partition] as number) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(200);
    expect(new Ring(64, ['x', 'y']).partitionOf('Counter/7')).toBe(ring.partitionOf('Counter/7'));
  });
});

describe('a ring of', () => {
  test('one silo is all that silo', () => {
    const ring = new Ring(16, ['only']);
    expect(new Set(primaries(ring))).toEqual(new Set(['only']));
    expect(ring.preferenceList(3, 3)).toEqual(['only']);
  });

  test('no silo has no primary, and empty preference lists', () => {
    const ring = new Ring(16, []);
    expect(new Set(primaries(ring))).toEqual(new Set([undefined]));
    expect(ring.preferenceList(0, 3)).toEqual([]);
    expect(ring.partitionOf('Counter/x')).toBeLessThan(16);
  });

  test('one partition, or of more silos than partitions, has a primary for each', () => {
    expect(new Ring(1, ['a', 'b', 'c']).preferenceList(0, 3)).toHaveLength(3);
    const few = new Ring(4, numbered(9));
    expect(primaries(few).every((silo) => silo !== undefined)).toBe(true);
    expect(Math.max(...shares(few))).toBe(1);
  });
});

test.each([1, 2, 1_024, 65_536])('%s can be a number of partitions', (value) => {
  expect(isPowerOfTwo(value)).toBe(true);
});

test.each([0, -2, 3, 1.5, 131_072, Number.NaN, Number.POSITIVE_INFINITY, '8', null, undefined, 8n])(
  '%s cannot be a number of partitions',
  (value) => {
    expect(isPowerOfTwo(value)).toBe(false);
  },
);
