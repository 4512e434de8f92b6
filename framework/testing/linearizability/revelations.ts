import type { SequentialModel } from './sequential-model.ts';
import { type Timeline, unknownMove } from './timeline.ts';

/** Where more operations reveal one, or are revealed by one, few ways are dead ends: it is not looked at. */
const MOST_REVEALERS = 32;
const MOST_SOURCES = 8;

/** Which operations that returned may reveal which others. */
export class Revelations<S, I, O> {
  readonly #revealers = new Map<number | undefined, number[]>();
  readonly #sources: readonly (readonly number[] | undefined)[];

  constructor(model: SequentialModel<S, I, O>, { completed }: Timeline<I, O>) {
    const writers = [...completed.entries()].filter(([, { readOnly }]) => !readOnly);
    this.#sources = completed.map((revealer, index) => {
      const found: number[] = [];
      for (const [source, { operation, input }] of writers) {
        if (operation.invokedAt > revealer.returnedAt || !model.reveals(revealer, input)) continue;
        if (found.push(source) > MOST_SOURCES) return undefined;
      }
      for (const source of found) this.#add(source, index);
      for (const unknown of revealer.reveals) this.#add(unknownMove(unknown), index);
      if (found.length === 0 && revealer.reveals.length === 0) this.#add(undefined, index);
      return found;
    });
  }

  /**
   * Those that may reveal what this move places, and not much else; without a move, those that can reveal
   * nothing but the start.
   */
  revealersOf(move: number | undefined): readonly number[] {
    const revealers = this.#revealers.get(move) ?? [];
    return revealers.length > MOST_REVEALERS ? [] : revealers;
  }

  /** What this one may reveal of those that returned and could come before it; undefined if it is much. */
  sourcesOf(index: number): readonly number[] | undefined {
    return this.#sources[index];
  }

  #add(move: number | undefined, revealer: number): void {
    const revealers = this.#revealers.get(move);
    if (revealers) revealers.push(revealer);
    else this.#revealers.set(move, [revealer]);
  }
}
