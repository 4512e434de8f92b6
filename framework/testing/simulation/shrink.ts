import type { Fault } from './swarm.ts';

/** How something may be made smaller, the boldest first. */
export type Smaller<T> = (from: T) => Iterable<T>;

/**
 * The smallest that still fails, as far as `attempts` go: takes the first smaller one that does, and begins
 * again from there. The greedy core of delta debugging (Zeller and Hildebrandt 2002).
 */
export async function shrink<T>(
  failing: T,
  smaller: Smaller<T>,
  fails: (candidate: T) => Promise<boolean>,
  attempts: number,
): Promise<T> {
  let smallest = failing;
  let left = attempts;
  const next = async (): Promise<T | undefined> => {
    for (const candidate of smaller(smallest)) {
      if (left-- <= 0) return undefined;
      if (await fails(candidate)) return candidate;
    }
    return undefined;
  };
  for (let found = await next(); found !== undefined; found = await next()) smallest = found;
  return smallest;
}

/** Without some faults: halves, quarters, single ones; then with shorter ones. */
export function* fewerFaults(faults: readonly Fault[]): Generator<readonly Fault[]> {
  if (faults.length > 1) yield [];
  for (let size = Math.ceil(faults.length / 2); size >= 1; size = size > 1 ? Math.ceil(size / 2) : 0) {
    for (let from = 0; from < faults.length; from += size) {
      yield [...faults.slice(0, from), ...faults.slice(from + size)];
    }
  }
  for (const [index, fault] of faults.entries()) {
    if (fault.lastsMs > SHORT_MS)
      yield faults.with(index, { ...fault, lastsMs: Math.ceil(fault.lastsMs / 2) });
  }
}

/** Faults shorter than this say nothing more when they are shorter still. */
const SHORT_MS = 50;
