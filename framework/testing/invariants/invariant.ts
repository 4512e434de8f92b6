import type { Observation } from './observation.ts';

/**
 * Something that must hold in every history. It is fed one observation after the other, keeps what it needs
 * to judge the next, and knows nothing of the runtime but its events.
 */
export interface Invariant {
  /** A few words, for the report. */
  readonly name: string;
  /** What is wrong now, in a sentence that names the grain; undefined when nothing is. */
  observe(observation: Observation): string | undefined;
  /** What is wrong when nothing more will happen: calls without an answer, say. */
  finish(at: number): readonly string[];
}
