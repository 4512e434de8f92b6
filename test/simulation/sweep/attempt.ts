import { fewerFaults, isSameFailure, SimulationError, shrink } from 'granary/testing';
import { type Run, run, type Size } from './story.ts';

/** What came of a seed. Plain data: it goes from one process to another. */
export type Attempt =
  | {
      readonly seed: number;
      readonly events: number;
      readonly virtualMs: number;
      readonly failure?: undefined;
    }
  | { readonly seed: number; readonly events: number; readonly virtualMs: number; readonly failure: Failure };

export interface Failure {
  /** What makes it happen again: the shortest that was found. */
  readonly run: Run;
  readonly message: string;
  readonly stack: string;
}

/** Runs that may be spent on a shorter story. */
const SHRINKING = 100;

/** Runs twice, and compares. `failed` hears of a failure at once: to find a shorter story takes a while. */
export async function attempt(given: Run, failed: (message: string) => void): Promise<Attempt> {
  const first = await failureOrReport(given);
  if (first instanceof SimulationError) {
    failed(first.message.split('\n', 1).join());
    return { ...tellOf(first), failure: await shortest(given, first) };
  }
  const second = await failureOrReport(given);
  const same = !(second instanceof SimulationError) && second.traceHash === first.traceHash;
  const told = { seed: given.seed, events: first.events * 2, virtualMs: first.virtualMs };
  if (same) return told;
  const message = `seed ${given.seed}: two runs differ: something decides that is not the seed`;
  return { ...told, failure: { run: given, message, stack: '' } };
}

async function failureOrReport(given: Run) {
  try {
    return await run(given);
  } catch (error) {
    if (error instanceof SimulationError) return error;
    throw error;
  }
}

function tellOf({ seed, events, virtualMs }: SimulationError) {
  return { seed, events, virtualMs };
}

/** With fewer faults, silos, callers and grains, and less time, as long as it fails in the same way. */
async function shortest(given: Run, failure: SimulationError): Promise<Failure> {
  let found: { run: Run; failure: SimulationError } = { run: { ...given, faults: failure.faults }, failure };
  const fails = async (candidate: Run) => {
    const again = await failureOrReport(candidate);
    if (!(again instanceof SimulationError) || !isSameFailure(failure, again)) return false;
    found = { run: candidate, failure: again };
    return true;
  };
  await shrink<Run>(found.run, smaller, fails, SHRINKING);
  const { cause } = found.failure;
  const stack = cause instanceof Error ? String(cause.stack) : '';
  return { run: found.run, message: found.failure.message, stack };
}

function* smaller(from: Run): Generator<Run> {
  for (const [name, least] of LEAST) {
    const half = Math.ceil(from[name] / 2);
    if (half >= least && half < from[name]) yield { ...from, [name]: half };
  }
  for (const faults of fewerFaults(from.faults ?? [])) yield { ...from, faults };
  for (const [name, least] of LEAST) {
    const fewer = from[name] - (name === 'ms' ? Math.ceil(from.ms / 10) : 1);
    if (fewer >= least) yield { ...from, [name]: fewer };
  }
}

const LEAST: readonly (readonly [keyof Size, number])[] = [
  ['ms', 200],
  ['callers', 1],
  ['keys', 1],
  ['silos', 1],
];
