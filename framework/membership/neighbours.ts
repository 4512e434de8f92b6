import { hash32 } from '../identity/hash.ts';
import { LIMITS } from '../limits.ts';
import type { SiloEntry } from './view.ts';

/**
 * Who watches whom: on a circle of hashed names each silo is watched by those that come next. In a small
 * cluster, by everybody. So a silo sends and receives a bounded number of heartbeats, however large the
 * cluster is.
 */
export function neighbours(
  self: SiloEntry,
  others: readonly SiloEntry[],
): { watchers: readonly SiloEntry[]; watched: readonly SiloEntry[] } {
  if (others.length <= LIMITS.monitors) return { watchers: others, watched: others };
  const start = hash32(self.name);
  const distances = others.map((entry) => (hash32(entry.name) - start) >>> 0);
  return {
    watchers: nearest(others, distances),
    watched: nearest(
      others,
      distances.map((distance) => ~distance >>> 0),
    ).reverse(),
  };
}

/** Those of the least distances, the nearest first. Not by sorting: this is done at each heartbeat. */
function nearest(entries: readonly SiloEntry[], distances: readonly number[]): SiloEntry[] {
  const found: number[] = [];
  const distanceOf = (index: number | undefined) => distances[index as number] as number;
  for (let index = 0; index < entries.length; index++) {
    const distance = distanceOf(index);
    let at = Math.min(found.length, LIMITS.monitors);
    for (; at > 0 && distanceOf(found[at - 1]) > distance; at--) found[at] = found[at - 1] as number;
    if (at < LIMITS.monitors) found[at] = index;
    found.length = Math.min(found.length, LIMITS.monitors);
  }
  return found.map((index) => entries[index] as SiloEntry);
}
