import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PLACEMENTS, type PlacementRequest } from '../../../framework/placement/placement.ts';

const names = ['a', 'b', 'c', 'd'];

function request(
  fields: Partial<PlacementRequest> & { loads?: number[]; chance?: number } = {},
): PlacementRequest {
  const { loads = [1, 1, 1], chance = 0, ...rest } = fields;
  const candidates = loads.map((load, i) => ({ silo: names[i] as string, load, labels: {} }));
  const random = { next: () => chance, id: () => 'id' };
  return { grain: 'Counter/x', caller: undefined, candidates, random, ...rest };
}

describe('placements', () => {
  test('always name a candidate', () => {
    const requests = fc.record({
      loads: fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
      chance: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      caller: fc.constantFrom(...names, 'gone', undefined),
    });
    fc.assert(
      fc.property(fc.constantFrom(...Object.values(PLACEMENTS)), requests, (placement, fields) => {
        const asked = request(fields as never);
        expect(asked.candidates.map(({ silo }) => silo)).toContain(placement.choose(asked));
      }),
    );
  });

  test('by the ring take the first', () => {
    expect(PLACEMENTS.ring.choose(request({ caller: 'b' }))).toBe('a');
  });

  test('that prefer the caller take it if they can, else the first', () => {
    expect(PLACEMENTS.preferLocal.choose(request({ caller: 'c' }))).toBe('c');
    expect(PLACEMENTS.preferLocal.choose(request({ caller: 'elsewhere' }))).toBe('a');
    expect(PLACEMENTS.preferLocal.choose(request())).toBe('a');
  });

  test('by load take the least, and among equals the one that the ring prefers', () => {
    expect(PLACEMENTS.leastLoaded.choose(request({ loads: [5, 2, 9] }))).toBe('b');
    expect(PLACEMENTS.leastLoaded.choose(request({ loads: [2, 2, 2] }))).toBe('a');
  });

  test('at random reach everyone', () => {
    const chosen = [0, 0.34, 0.99].map((chance) => PLACEMENTS.random.choose(request({ chance })));
    expect(chosen).toEqual(['a', 'b', 'c']);
  });
});
