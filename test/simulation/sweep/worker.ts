import { attempt } from './attempt.ts';
import type { Run } from './story.ts';

/** Runs what it is told to, one after the other, in a process of its own. */
process.on('message', (given: Run) => {
  attempt(given).then(
    (result) => process.send?.(result),
    (error) => {
      process.nextTick(() => {
        throw error;
      });
    },
  );
});
process.on('disconnect', () => process.exit());
