import { describe, expect, test } from 'vitest';
import { MEASURES, type Row } from '../../bench/measures.ts';
import { type Result, type Round, results } from '../../bench/rounds.ts';
import { reached, rounded, table } from '../../bench/table.ts';

const RATE: Row = { field: 'perSecond', title: 'calls', unit: '/s', more: true };
const TIME: Row = { field: 'p99Us', title: 'p99', unit: 'µs', more: false };

function result(row: Row, granary: number, baseline: number): Result {
  const ratio = granary / baseline;
  return { name: 'calls', row, against: 'others', granary, baseline, ratio, ratios: [ratio] };
}

describe('a bound', () => {
  test('of a rate is reached at the number and over it, of a time at the number and under it', () => {
    expect(reached(result(RATE, 20, 10), { ratio: 2 })).toBe(true);
    expect(reached(result(RATE, 19, 10), { ratio: 2 })).toBe(false);
    expect(reached(result(TIME, 20, 10), { ratio: 2 })).toBe(true);
    expect(reached(result(TIME, 21, 10), { ratio: 2 })).toBe(false);
  });

  test('of a ratio and of the number itself is reached when both are', () => {
    const both = { ratio: 0.5, value: 1_000 };
    expect(reached(result(RATE, 1_000, 2_000), both)).toBe(true);
    expect(reached(result(RATE, 1_000, 2_001), both)).toBe(false);
    expect(reached(result(RATE, 999, 1_000), both)).toBe(false);
  });

  test('of nothing allows nothing, though no ratio to nothing is a number', () => {
    expect(reached(result(TIME, 0, 0), { value: 0 })).toBe(true);
    expect(reached(result(TIME, 1, 0), { value: 0 })).toBe(false);
  });

  test('that is not there is neither reached nor missed', () => {
    expect(reached(result(RATE, 1, 1), undefined)).toBeUndefined();
  });
});

describe('the table', () => {
  const goal = { ratio: 3, value: 1_000_000 };
  const lines = table([result({ ...RATE, goal, floor: { ratio: 4 } }, 20_000, 10_000)]).split('\n');

  test('shows the goal and the floor, and which is reached', () => {
    expect(lines[0]).toMatch(/^ +Granary +baseline +ratio +min – max +goal +floor$/);
    expect(lines[1]).toMatch(/^calls +20,000 \/s +10,000 \/s +others +2\.00 +2\.00 – 2\.00 /);
    expect(lines[1]).toMatch(/ ≥ 3, ≥ 1,000,000 \/s +not yet +≥ 4 +MISSED$/);
  });

  test('of two commits shows neither: they are about the baseline', () => {
    const [head, line] = table([result({ ...RATE, goal }, 20_000, 10_000)], 'HEAD~1').split('\n');
    expect(head).not.toContain('goal');
    expect(line).toMatch(/2\.00 – 2\.00$/);
  });

  test.each([
    [0, '0'],
    [0.02483, '0.0248'],
    [6.557, '6.56'],
    [853.4, '853'],
    [151_499, '151,000'],
    [Number.NaN, '–'],
    [Number.POSITIVE_INFINITY, '–'],
  ])('writes %d as %s', (value, text) => {
    expect(rounded(value)).toBe(text);
  });
});

test('a row has the median of the rounds on each side, and of their ratios', () => {
  const rounds: Round[] = [
    { granary: { perSecond: 10 }, baseline: { perSecond: 10 } },
    { granary: { perSecond: 40 }, baseline: { perSecond: 10 } },
    { granary: { perSecond: 20 }, baseline: { perSecond: 40 } },
  ];
  const side = { programs: [], request: {} };
  const measure = { name: 'calls', granary: side, baseline: side, against: 'others', rows: [RATE] };
  expect(results(measure, rounds)).toMatchObject([
    { granary: 20, baseline: 10, ratio: 1, ratios: [1, 4, 0.5] },
  ]);
});

test('no two measures have one name, and each floor is under its goal', () => {
  expect(new Set(MEASURES.map(({ name }) => name)).size).toBe(MEASURES.length);
  for (const { more, goal, floor } of MEASURES.flatMap(({ rows }) => rows)) {
    if (goal?.ratio === undefined || floor?.ratio === undefined) continue;
    expect(more ? floor.ratio < goal.ratio : floor.ratio > goal.ratio).toBe(true);
  }
});
