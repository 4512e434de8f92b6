import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../../framework/testing/simulation/seeded-random.ts';

const draw = (random: SeededRandom, count = 100) => Array.from({ length: count }, () => random.bits());

/** sfc32 as PractRand has it, in big integers, with 15 rounds of warming up. */
function reference(a: bigint, b: bigint, c: bigint, count: number): number[] {
  const low = (n: bigint) => n & 0xffffffffn;
  const results: number[] = [];
  for (let counter = 1n; results.length < count + 15; counter++) {
    const result = low(a + b + counter);
    a = b ^ (b >> 9n);
    b = low(c + (c << 3n));
    c = low(low((c << 21n) | (c >> 11n)) + result);
    results.push(Number(BigInt.asIntN(32, result)));
  }
  return results.slice(15);
}

describe('chance by seed', () => {
  test('is the generator that it says it is', () => {
    const seed = 0x5eed_1234_5678;
    const empty = 0x811c9dc5n;
    expect(draw(new SeededRandom(seed), 1_000)).toEqual(reference(0x1234_5678n, 0x5eedn, empty, 1_000));
  });

  test('is the same for the same seed and label, and another for any other', () => {
    const seeds = [0, 1, 2, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 52];
    const sequences = seeds.flatMap((seed) => ['', 'a', 'b'].map((label) => [seed, label] as const));
    const drawn = sequences.map(([seed, label]) => draw(new SeededRandom(seed, label)).join());
    expect(new Set(drawn).size).toBe(sequences.length);
    expect(sequences.map(([seed, label]) => draw(new SeededRandom(seed, label)).join())).toEqual(drawn);
  });

  test('does not show that seeds are neighbours', () => {
    const firsts = Array.from({ length: 10_000 }, (_, seed) => new SeededRandom(seed, 'x').next());
    for (let tenth = 0; tenth < 10; tenth++) {
      const within = firsts.filter((first) => Math.floor(first * 10) === tenth).length;
      expect(within).toBeGreaterThan(850);
      expect(within).toBeLessThan(1_150);
    }
  });

  test('of a fork depends on the seed and the names alone, not on what was drawn before or after', () => {
    const [one, other] = [new SeededRandom(7), new SeededRandom(7)];
    draw(other, 5);
    const [early, late] = [one.fork('x'), other.fork('x')];
    draw(other, 5);
    expect(draw(early)).toEqual(draw(late));
    const others = [one, one.fork('y'), one.fork('x').fork('x'), new SeededRandom(8).fork('x')];
    for (const another of others) expect(draw(another)).not.toEqual(draw(one.fork('x')));
  });

  test('draws nothing when there is nothing to decide', () => {
    const [one, other] = [new SeededRandom(7), new SeededRandom(7)];
    expect(one.chance(0)).toBe(false);
    expect(draw(one)).toEqual(draw(other));
    expect(one.chance(1)).toBe(true);
  });

  test('keeps to its bounds and its means', () => {
    const random = new SeededRandom(7);
    const mean = (of: () => number) =>
      Array.from({ length: 20_000 }, of).reduce((sum, n) => sum + n) / 20_000;
    expect(mean(() => random.next())).toBeCloseTo(0.5, 1);
    expect(mean(() => random.exponential(30)) / 30).toBeCloseTo(1, 1);
    expect(mean(() => Number(random.chance(0.2)))).toBeCloseTo(0.2, 1);
    expect(new Set(Array.from({ length: 500 }, () => random.below(5)))).toEqual(new Set([0, 1, 2, 3, 4]));
    for (let i = 0; i < 500; i++) {
      const between = random.between(3, 4);
      expect(between >= 3 && between < 4).toBe(true);
      const logarithmic = random.logarithmic(0.01, 100);
      expect(logarithmic >= 0.01 && logarithmic < 100).toBe(true);
    }
    // Half of them below the geometric mean.
    expect(mean(() => Number(random.logarithmic(0.01, 100) < 1))).toBeCloseTo(0.5, 1);
  });

  test('shuffles: nothing is lost, everything comes first some time', () => {
    const random = new SeededRandom(7);
    const list = ['a', 'b', 'c', 'd'];
    const shuffled = Array.from({ length: 200 }, () => random.shuffled(list));
    for (const each of shuffled) expect(each.toSorted()).toEqual(list);
    expect(new Set(shuffled.map((each) => each.join(''))).size).toBe(24);
    expect(list).toEqual(['a', 'b', 'c', 'd']);
  });

  test('makes ids of 16 letters that do not repeat', () => {
    const random = new SeededRandom(7);
    const ids = Array.from({ length: 10_000 }, () => random.id());
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[0-9a-v]{16}$/);
  });
});
