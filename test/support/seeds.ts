/**
 * The seeds that a story runs under: a few each time, and with GRANARY_SEEDS in the environment as many as one
 * likes, to look for trouble.
 */
export function seeds(count: number): number[] {
  return Array.from({ length: Number(process.env.GRANARY_SEEDS ?? count) }, (_, i) => i + 1);
}
