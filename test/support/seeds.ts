/**
 * The seeds that a story runs under: a few each time, and as many as one likes with GRANARY_SEEDS in the
 * environment, to look for trouble.
 */
export function seeds(count: number): number[] {
  return Array.from({ length: Number(process.env.GRANARY_SEEDS ?? count) }, (_, i) => i + 1);
}
