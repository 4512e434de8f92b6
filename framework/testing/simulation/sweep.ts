import { InvalidConfigError } from '../../errors.ts';
import { fewerFaults, type Smaller, shrink } from './shrink.ts';
import { type SimulateOptions, SimulationError, simulate } from './simulate.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';

export interface SweepOptions extends Omit<SimulateOptions, 'seed'> {
  /** How many, from 0 on, or which. */
  readonly seeds: number | readonly number[];
  /** Failures after which it ends. Default 1. */
  readonly failures?: number;
  /** Runs that may be spent on finding a shorter story for each failure. Default 100. */
  readonly attempts?: number;
  /** Told after each seed. */
  readonly onProgress?: (progress: SweepReport) => void;
}

export interface SweepReport {
  /** Seeds that were run. */
  readonly runs: number;
  readonly events: number;
  readonly failures: readonly SimulationError[];
}

/**
 * Runs a story with one seed after the other. What fails is run again with fewer faults, as long as it fails
 * in the same way, and the shortest is reported: its `seed` and `faults` make the same failure again.
 *
 * Rejects with what `simulate` rejects with when it is not the story that is wrong, but an option.
 */
export async function sweep(
  options: SweepOptions,
  story: (cluster: SimulatedCluster) => Promise<void>,
): Promise<SweepReport> {
  const { seeds, failures: most = 1, attempts = 100, onProgress, ...rest } = options;
  const list = listOf(seeds);
  const failures: SimulationError[] = [];
  let events = 0;
  for (const [index, seed] of list.entries()) {
    const run = (faults: SimulateOptions['faults']) =>
      failureOf(async () => {
        events += (await simulate({ ...rest, seed, ...(faults && { faults }) }, story)).events;
      });
    const failure = await run(options.faults);
    if (failure) {
      events += failure.events;
      const failing = { run: failure.faults, failure };
      failures.push((await shrinkFailure(failing, fewerFaults, run, attempts)).failure);
    }
    onProgress?.({ runs: index + 1, events, failures });
    if (failures.length >= most) return { runs: index + 1, events, failures };
  }
  return { runs: list.length, events, failures };
}

/** A sweep over nothing would find nothing, and look like success. */
function listOf(seeds: SweepOptions['seeds']): readonly number[] {
  if (Array.isArray(seeds) && seeds.length > 0) return seeds;
  if (Number.isSafeInteger(seeds) && Number(seeds) > 0) {
    return Array.from({ length: Number(seeds) }, (_, seed) => seed);
  }
  throw new InvalidConfigError(`sweep: seeds is ${String(seeds)}; it must be how many, 1 or more, or a list`);
}

/** What a run failed with; undefined when it did not. */
export async function failureOf(run: () => Promise<unknown>): Promise<SimulationError | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    if (error instanceof SimulationError) return error;
    throw error;
  }
}

/** Two failures are of one kind when they begin alike: with the name of the invariant, say. */
function isSameFailure(one: SimulationError, other: SimulationError): boolean {
  return kindOf(one) === kindOf(other);
}

function kindOf({ cause }: SimulationError): string {
  return String(cause instanceof Error ? cause.message : cause)
    .split(':', 1)
    .join()
    .replaceAll(/\d+/g, '#')
    .slice(0, 60);
}

/**
 * The smallest that still fails in the same way, as far as `attempts` go, and what it fails with. `run`
 * resolves to the failure of a candidate, if it is one.
 */
export async function shrinkFailure<T>(
  failing: { readonly run: T; readonly failure: SimulationError },
  smaller: Smaller<T>,
  run: (candidate: T) => Promise<SimulationError | undefined>,
  attempts: number,
): Promise<{ readonly run: T; readonly failure: SimulationError }> {
  let found = failing;
  const fails = async (candidate: T) => {
    const failure = await run(candidate);
    if (!failure || !isSameFailure(failing.failure, failure)) return false;
    found = { run: candidate, failure };
    return true;
  };
  await shrink(failing.run, smaller, fails, attempts);
  return found;
}
