import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../../framework/limits.ts';
import { neighbours } from '../../../framework/membership/neighbours.ts';
import type { SiloEntry } from '../../../framework/membership/view.ts';

function silos(count: number): SiloEntry[] {
  return Array.from({ length: count }, (_, index) => ({
    ...{ name: `silo-${index}`, incarnation: 1, status: 'active' as const },
    ...{ epoch: 0, unreachable: false, types: [], labels: {} },
  }));
}

const without = (all: readonly SiloEntry[], one: SiloEntry) => all.filter((silo) => silo !== one);

describe('who watches whom', () => {
  test('in a small cluster is everybody everybody', () => {
    const all = silos(LIMITS.monitors + 1);
    for (const silo of all) {
      const { watchers, watched } = neighbours(silo, without(all, silo));
      expect(new Set(watchers)).toEqual(new Set(without(all, silo)));
      expect(watched).toEqual(watchers);
    }
  });

  test('in a large one is a bounded number, and both sides agree on it', () => {
    fc.assert(
      fc.property(fc.integer({ min: LIMITS.monitors + 2, max: 60 }), (count) => {
        const all = silos(count);
        const of = new Map(all.map((silo) => [silo, neighbours(silo, without(all, silo))]));
        for (const [silo, { watchers, watched }] of of) {
          expect(new Set(watchers).size).toBe(LIMITS.monitors);
          expect(new Set(watched).size).toBe(LIMITS.monitors);
          for (const watcher of watchers) expect(of.get(watcher)?.watched).toContain(silo);
        }
      }),
      { numRuns: 20 },
    );
  });
});
