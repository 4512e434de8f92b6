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
  const distance = (entry: SiloEntry) => (hash32(entry.name) - start) >>> 0;
  const circle = [...others].sort((a, b) => distance(a) - distance(b));
  return { watchers: circle.slice(0, LIMITS.monitors), watched: circle.slice(-LIMITS.monitors) };
}
