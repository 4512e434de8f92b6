import { SimulationError } from 'granary/testing';
import { run, sizeOf } from '../sweep/story.ts';

/** What came of a seed. Plain data: it goes from one process to another. */
export type Outcome =
  | { readonly seed: number; readonly events: number; readonly failure?: string }
  | { readonly seed: number; readonly crash: string };

/** Runs the seeds that it is told, one after the other, with the code that it is in the midst of. */
process.on('message', async (seed: number) => {
  const outcome = await run({ seed, ...sizeOf(seed) }).then(
    ({ events }): Outcome => ({ seed, events }),
    (error: unknown): Outcome => {
      if (!(error instanceof SimulationError)) return { seed, crash: String(error) };
      const { events, cause } = error;
      return { seed, events, failure: cause instanceof Error ? cause.message : String(cause) };
    },
  );
  process.send?.(outcome);
});
process.on('disconnect', () => process.exit());
