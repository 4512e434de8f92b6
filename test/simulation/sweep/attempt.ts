import { failureOf, fewerFaults, type SimulationError, shrinkFailure } from 'granary/testing';
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
  let report: Awaited<ReturnType<typeof run>> | undefined;
  const failure = await failureOf(async () => {
    report = await run(given);
  });
  if (failure) {
    failed(failure.message.split('\n', 1).join());
    const { seed, events, virtualMs } = failure;
    return { seed, events, virtualMs, failure: await shortest(given, failure) };
  }
  let again: typeof report;
  await failureOf(async () => {
    again = await run(given);
  });
  const { seed, events, virtualMs, traceHash } = report as NonNullable<typeof report>;
  const told = { seed, events: events * 2, virtualMs };
  if (again?.traceHash === traceHash) return told;
  const message = `seed ${seed}: two runs differ: something decides that is not the seed`;
  return { ...told, failure: { run: given, message, stack: '' } };
}

/** With fewer faults, silos, callers and grains, and less time, as long as it fails in the same way. */
async function shortest(given: Run, failure: SimulationError): Promise<Failure> {
  const failing = { run: { ...given, faults: failure.faults }, failure };
  const found = await shrinkFailure<Run>(
    failing,
    smaller,
    (candidate) => failureOf(() => run(candidate)),
    SHRINKING,
  );
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
