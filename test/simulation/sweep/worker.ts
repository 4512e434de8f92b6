import { type Attempt, attempt } from './attempt.ts';
import type { Run } from './story.ts';

/** What it says. */
export type Word = { readonly failed: string } | { readonly done: Attempt };

/** Runs what it is told to, one after the other, in a process of its own. */
process.on('message', (given: Run) => {
  const tell = (word: Word) => process.send?.(word);
  attempt(given, (failed) => tell({ failed })).then(
    (done) => tell({ done }),
    (error) => {
      process.nextTick(() => {
        throw error;
      });
    },
  );
});
process.on('disconnect', () => process.exit());
