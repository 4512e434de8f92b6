import { join } from 'node:path';
import { Program } from '../support/processes.ts';
import type { Measure, Row, Side } from './measures.ts';

/** Where a side's programs are compiled, and what they find in their environment. */
export interface Place {
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** More options of Node. */
  readonly node?: readonly string[];
}

/** A row of the table: medians of all rounds. */
export interface Result {
  readonly name: string;
  readonly row: Row;
  readonly against: string;
  readonly granary: number;
  readonly baseline: number;
  /** The median of the rounds' ratios, and their range. */
  readonly ratio: number;
  readonly ratios: readonly number[];
}

type Sample = Readonly<Record<string, number>>;

const WARM_UP_ROUNDS = 2;
const MEASURE_TIMEOUT_MS = 120_000;

/** Both sides in turn, A B A B …, so that whatever else the machine does meets both. */
export async function alternate(
  measure: Measure,
  places: { granary: Place; baseline: Place },
  rounds: number,
): Promise<Result[]> {
  const granary: Sample[] = [];
  const baseline: Sample[] = [];
  await using a = new Asked(measure.granary, places.granary, measure.fresh);
  await using b = new Asked(measure.baseline, places.baseline, measure.fresh);
  for (let round = measure.fresh ? 0 : -WARM_UP_ROUNDS; round < rounds; round++) {
    const [ofA, ofB] = [await a.measured(), await b.measured()];
    if (round < 0) continue;
    granary.push(ofA);
    baseline.push(ofB);
  }
  return measure.rows.map((row) => {
    const value = (sample: Sample | undefined) => sample?.[row.field] as number;
    const ratios = granary.map((sample, round) => value(sample) / value(baseline[round]));
    return {
      ...{ name: measure.name, row, against: measure.against, ratios, ratio: median(ratios) },
      granary: median(granary.map(value)),
      baseline: median(baseline.map(value)),
    };
  });
}

let clusters = 0;

/** The programs of one side, started when it is first asked. They share no cluster with the other side's. */
export class Asked {
  readonly #side: Side;
  readonly #place: Place;
  readonly #fresh: boolean;
  readonly #cluster = `bench-${++clusters}`;
  #programs: Program[] = [];

  constructor(side: Side, place: Place, fresh = false) {
    this.#side = side;
    this.#place = place;
    this.#fresh = fresh;
  }

  async measured(): Promise<Sample> {
    if (this.#fresh) await this.stop();
    if (this.#programs.length === 0) await this.#start();
    const asked = this.#programs.at(-1) as Program;
    asked.send(this.#side.request);
    const [, json] = await asked.line(/^measured (.*)$/, MEASURE_TIMEOUT_MS);
    return JSON.parse(json as string) as Sample;
  }

  async #start(): Promise<void> {
    const { folder, node = [] } = this.#place;
    const env = { ...this.#place.env, CLUSTER: this.#cluster };
    for (const name of this.#side.programs) {
      const args = ['--expose-gc', ...node.map((option) => option.replace('%', name))];
      const program = new Program(process.execPath, { args: [...args, join(folder, `${name}.js`)], env });
      this.#programs.push(program);
      await program.ready(/^ready$/);
    }
  }

  /** Ends them in order: a profile is written at the exit. */
  async stop(): Promise<void> {
    for (const program of this.#programs) program.sigterm();
    await Promise.all(this.#programs.map((program) => program.exited));
    this.#programs = [];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Of an even number, the lower one of the two in the middle. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[(values.length - 1) >> 1] as number;
}
