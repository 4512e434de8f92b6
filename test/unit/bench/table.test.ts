import { describe, expect, test } from 'vitest';
import { MEASURES, type Measure, type Row } from '../../bench/measures.ts';
import { type Result, type Round, results } from '../../bench/rounds.ts';
import { reached, rounded, table } from '../../bench/table.ts';

const RATE: Row = { field: 'perSecond', title: 'calls', unit: '/s', more: true };
const TIME: Row = { field: 'p99Us', title: 'p99', unit: 'µs', more: false };

function result(row: Row, granary: number, baseline: number): Result {
  const ratio = granary / baseline;
  return { name: 'calls', row, against: 'others', granary, baseline, ratio, ratios: [ratio] };
}

function measured(row: Row): Measure {
  const side = { programs: [], request: {} };
  return { name: 'calls', granary: side, baseline: side, against: 'others', rows: [row] };
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
  expect(results(measured(RATE), rounds)).toMatchObject([
    { granary: 20, baseline: 10, ratio: 1, ratios: [1, 4, 0.5] },
  ]);
});

describe('a row whose worst counts', () => {
  const stop: Row = { ...TIME, worst: true };
  const rounds: Round[] = [
    { granary: { p99Us: 10 }, baseline: { p99Us: 20 } },
    { granary: { p99Us: 90 }, baseline: { p99Us: 30 } },
    { granary: { p99Us: 20 }, baseline: { p99Us: 10 } },
  ];

  test('has the longest time of all rounds on each side', () => {
    expect(results(measured(stop), rounds)).toMatchObject([
      { granary: 90, baseline: 30, ratio: 3, ratios: [0.5, 3, 2] },
    ]);
  });

  test('has the lowest rate', () => {
    expect(results(measured({ ...stop, more: true }), rounds)).toMatchObject([{ granary: 10, baseline: 10 }]);
  });

  test('misses its floor by a single round', () => {
    const [row] = results(measured({ ...stop, floor: { value: 80 } }), rounds);
    expect(row && reached(row, row.row.floor)).toBe(false);
  });
});

describe('a row whose baseline does nothing like it', () => {
  const alone: Row = { ...TIME, alone: true, goal: { value: 60 } };
  const rounds: Round[] = [{ granary: { p99Us: 50 }, baseline: { p99Us: 25 } }];

  test('has no ratio, and reaches its goal by itself', () => {
    const found = results(measured(alone), rounds);
    expect(JSON.parse(JSON.stringify(found))).toMatchObject([{ granary: 50, ratio: null, ratios: [] }]);
    expect(table(found).split('\n')[1]).toMatch(/25\.0 µs +others +– +≤ 60 µs +reached$/);
  });

  test('has one when two commits are compared', () => {
    expect(results(measured(alone), rounds, true)).toMatchObject([{ ratio: 2, ratios: [2] }]);
  });

  test('has no bound of a ratio', () => {
    for (const { alone, goal, floor } of MEASURES.flatMap(({ rows }) => rows))
      if (alone) expect([goal?.ratio, floor?.ratio]).toEqual([undefined, undefined]);
  });
});

test('no two measures have one name, and each floor is under its goal', () => {
  expect(new Set(MEASURES.map(({ name }) => name)).size).toBe(MEASURES.length);
  for (const { more, goal, floor } of MEASURES.flatMap(({ rows }) => rows)) {
    if (goal?.ratio === undefined || floor?.ratio === undefined) continue;
    expect(more ? floor.ratio < goal.ratio : floor.ratio > goal.ratio).toBe(true);
  }
});
