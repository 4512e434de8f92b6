import { median } from '../support/median.ts';

/**
 * Whether a measure lost more than it may, on a machine whose speed nobody knows.
 *
 * A heat is many short rounds of both sides in turn, in processes of its own, and gives one number: the
 * median of its rounds' ratios. Rounds of one heat are no witnesses independent of each other, since two
 * processes of the same code may differ for as long as they live (memory layout, what the compiler saw
 * first); heats are. The median of all heats lies between the n-th from below and the n-th from above of
 * them with a probability that is that of tossing coins. This takes nothing for granted about how heats
 * scatter, and a heat that a neighbour on the machine has spoilt counts as one toss, however far off it is.
 */
export interface Verdict {
  readonly verdict: 'lost' | 'kept' | 'undecided';
  /** The ratio to the other commit; more is better. */
  readonly estimate: number;
  /** The ratio is over `low`, and under `high`, with `CONFIDENCE` each. */
  readonly low: number;
  readonly high: number;
}

/** What may be lost. */
export const LOSS_ALLOWED = 0.07;

/**
 * Of a bound after so many heats. They go on until a bound decides, so chance has several tries: of 4,000
 * made-up checks of fifteen heats that scatter by 6 %, none of the same code was lost, 1 % of those that had
 * lost 3 % were, 48 % of those that had lost 7 %, 87 % at 9 % and 96 % at 10 %.
 */
const CONFIDENCE = 0.98;

/** The fewest heats from which a bound follows: that six coins fall alike has a chance of 1 in 64. */
export const HEATS_MIN = 6;

/**
 * Takes the ratios of the heats, in each of which more is better. While heats go on, only a bound beyond what
 * may be lost decides. When they are over, it is enough that something was lost for certain, and that more
 * than may be is likelier than less: a loss just over `LOSS_ALLOWED` would else nearly always be undecided.
 */
export function judged(ratios: readonly number[], over: boolean): Verdict {
  const sorted = [...ratios].sort((a, b) => a - b);
  const beyond = beyondBound(sorted.length);
  const low = sorted[beyond - 1] ?? 0;
  const high = sorted[sorted.length - beyond] ?? Number.POSITIVE_INFINITY;
  const least = 1 - LOSS_ALLOWED;
  const estimate = median(sorted);
  const lost = high < least || (over && high < 1 && estimate < least);
  const verdict = lost ? 'lost' : low > least ? 'kept' : 'undecided';
  return { verdict, estimate, low, high };
}

/**
 * Which heat from the end is a bound: the last for which so many coins or more fall alike with a probability
 * that `CONFIDENCE` leaves; 0 when there are too few heats.
 */
function beyondBound(heats: number): number {
  let chance = 0;
  let ways = 1;
  for (let heads = 0; ; heads++) {
    chance += ways / 2 ** heats;
    if (chance > 1 - CONFIDENCE) return heads;
    ways = (ways * (heats - heads)) / (heads + 1);
  }
}
