import { describe, expect, test } from 'vitest';
import { HEATS_MIN, judged } from '../../bench/verdict.ts';
import { seeded } from '../../support/seeded.ts';

describe('the verdict on a measure', () => {
  test('is open while too few heats were run, whatever they say', () => {
    const heats = Array.from({ length: HEATS_MIN - 1 }, () => 0.5);
    expect(judged(heats, false)).toMatchObject({ verdict: 'undecided', estimate: 0.5 });
    expect(judged([...heats, 0.5], false)).toMatchObject({ verdict: 'lost' });
  });

  test('is loss when every heat lost more than may be lost', () => {
    expect(judged([0.9, 0.91, 0.88, 0.92, 0.9, 0.89], false)).toMatchObject({
      verdict: 'lost',
      low: 0.88,
      high: 0.92,
    });
  });

  test('is that all was kept when the heats stay over the bound', () => {
    expect(judged([0.96, 1.1, 0.94, 1.02, 0.99, 1], false)).toMatchObject({
      verdict: 'kept',
      low: 0.94,
      high: 1.1,
    });
  });

  test('is open when the heats lie on both sides of the bound', () => {
    expect(judged([0.8, 1, 0.9, 0.95, 0.92, 0.96], false).verdict).toBe('undecided');
  });

  test('at the end is loss when one is certain, and more than may be lost is likelier than less', () => {
    const heats = [0.86, 0.89, 0.9, 0.91, 0.92, 0.94];
    expect(judged(heats, false)).toMatchObject({ verdict: 'undecided', high: 0.94 });
    expect(judged(heats, true)).toMatchObject({ verdict: 'lost' });
  });

  test.each([
    { why: 'that anything was lost is not certain', heats: [0.86, 0.89, 0.9, 0.91, 0.92, 1.01] },
    { why: 'what was lost for certain is likely to be less', heats: [0.9, 0.94, 0.95, 0.96, 0.97, 0.98] },
    { why: 'too few heats were run', heats: [0.5, 0.5, 0.5, 0.5, 0.5] },
  ])('at the end is still open when $why', ({ heats }) => {
    expect(judged(heats, true).verdict).toBe('undecided');
  });

  test('is not turned by one heat that something else has spoilt', () => {
    const heats = [0.99, 1.01, 1.02, 0.98, 1, 1.01, 0.99, 1];
    expect(judged([...heats, 0.3], false)).toMatchObject({ verdict: 'kept' });
    expect(judged(heats.map((ratio) => ratio * 0.85).concat(3), false)).toMatchObject({ verdict: 'lost' });
  });

  test.each([
    { heats: 6, low: 1 },
    { heats: 8, low: 1 },
    { heats: 9, low: 2 },
    { heats: 12, low: 3 },
    { heats: 15, low: 4 },
    { heats: 20, low: 5 },
  ])(
    'of $heats heats has number $low from either end as bounds, as tables of the sign test have it',
    (of) => {
      const heats = Array.from({ length: of.heats }, (_, index) => index + 1);
      expect(judged(heats, false)).toMatchObject({ low: of.low, high: of.heats + 1 - of.low });
    },
  );

  test('of the same code on both sides is hardly ever loss, and a loss of 10 % is mostly seen', () => {
    const random = seeded(4);
    const lost = (ratio: number) => {
      let losses = 0;
      for (let times = 0; times < 300; times++) losses += verdictOf(ratio, random) === 'lost' ? 1 : 0;
      return losses / 300;
    };
    expect(lost(1)).toBe(0);
    expect(lost(0.9)).toBeGreaterThan(0.85);
  });
});

/** As a check goes on: heats that vary by some 6 %, more of them until the verdict is clear. */
function verdictOf(ratio: number, random: () => number): string {
  const heats: number[] = [];
  for (;;) {
    const noise = random() + random() + random() + random() - 2; // Its deviation is 0.58.
    heats.push(ratio * Math.exp(noise * 0.1));
    const over = heats.length === 15;
    const { verdict } = judged(heats, over);
    if (verdict !== 'undecided' || over) return verdict;
  }
}
