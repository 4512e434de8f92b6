import { median } from '../support/median.ts';
import { Asked, type Place, type Sample } from './asked.ts';
import type { Measure, Row } from './measures.ts';

/** A row of the table: medians of all rounds, or the worst of them. */
export interface Result {
  readonly name: string;
  readonly row: Row;
  readonly against: string;
  readonly granary: number;
  readonly baseline: number;
  /** The median of the rounds' ratios, or the ratio of the worst rounds; null where a row has none. */
  readonly ratio: number | null;
  /** Of each round. */
  readonly ratios: readonly number[];
}

/** What both sides found in one round. */
export interface Round {
  readonly granary: Sample;
  readonly baseline: Sample;
}

export interface Places {
  readonly granary: Place;
  readonly baseline: Place;
}

export interface Rounds {
  readonly counted: number;
  /** Before these, where processes live longer than a round. */
  readonly warmUp?: number;
}

const WARM_UP_ROUNDS = 2;

/**
 * Both sides in turn, so that whatever else the machine does meets both, and each first in every second round
 * (A B B A …), so that it matters to neither what the one before it left behind.
 */
export async function alternate(measure: Measure, places: Places, rounds: Rounds): Promise<Round[]> {
  const done: Round[] = [];
  await using a = new Asked(measure.granary, places.granary, measure.fresh);
  await using b = new Asked(measure.baseline, places.baseline, measure.fresh);
  const other = measure.together && places.granary.folder === places.baseline.folder ? a : b;
  const granary = () => a.measured(measure.granary.request);
  const baseline = () => other.measured(measure.baseline.request);
  const warmUp = measure.fresh ? 0 : (rounds.warmUp ?? WARM_UP_ROUNDS);
  for (let round = -warmUp; round < rounds.counted; round++) {
    const samples =
      round % 2 === 0
        ? { granary: await granary(), baseline: await baseline() }
        : { baseline: await baseline(), granary: await granary() };
    if (round >= 0) done.push(samples);
  }
  return done;
}

/** The rows of a measure after its rounds. Of two commits, every row has a ratio. */
export function results(
  { name, rows, against }: Measure,
  rounds: readonly Round[],
  commits = false,
): Result[] {
  return rows.map((row) => {
    const values = [valuesOf(rounds, row, 'granary'), valuesOf(rounds, row, 'baseline')] as const;
    const [granary, baseline] = [inAll(row, values[0]), inAll(row, values[1])];
    const told = { name, row, against, granary, baseline };
    if (row.alone && !commits) return { ...told, ratio: null, ratios: [] };
    const ratios = values[0].map((value, round) => value / (values[1][round] as number));
    return { ...told, ratio: row.worst ? granary / baseline : median(ratios), ratios };
  });
}

/** One number for those of all rounds. */
function inAll({ worst, more }: Row, values: readonly number[]): number {
  if (!worst) return median(values);
  return more ? Math.min(...values) : Math.max(...values);
}

function valuesOf(rounds: readonly Round[], { field }: Row, side: keyof Round): number[] {
  return rounds.map((round) => round[side][field] ?? Number.NaN);
}
