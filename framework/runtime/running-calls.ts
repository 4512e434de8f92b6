import type { Call } from '../rpc/call.ts';

/** The place of an activation in which no call runs. */
export const NO_PLACE = -1;

const NONE: readonly Call[] = Object.freeze([]);

/**
 * The calls that run on this silo: a list for each activation that runs any, in a place whose number the
 * activation keeps.
 *
 * An array in each activation would do, and made a million of them slow. An activation is old, a call is
 * young, and V8 has to note each place where something old points to something young, and to look there at
 * its next collection. With calls all over a large heap, this and the time of the last use (a fraction, an
 * object too) were 1 to 2 µs a call, in pauses of 15 ms instead of 4. A number is noted nowhere, and the
 * lists here are as few as the activations that have calls at one time.
 */
export class RunningCalls {
  readonly #lists: Call[][] = [];
  /** Places that nobody has. */
  readonly #free: number[] = [];

  at(place: number): readonly Call[] {
    return place === NO_PLACE ? NONE : (this.#lists[place] as Call[]);
  }

  /** Returns the place, which is a new one where there was none. */
  add(place: number, call: Call): number {
    const at = place === NO_PLACE ? (this.#free.pop() ?? this.#lists.push([]) - 1) : place;
    (this.#lists[at] as Call[]).push(call);
    return at;
  }

  /** Returns the place, which is none after the last call. */
  remove(place: number, call: Call): number {
    const list = this.#lists[place] as Call[];
    list[list.indexOf(call)] = list[list.length - 1] as Call;
    list.pop();
    if (list.length > 0) return place;
    this.#free.push(place);
    return NO_PLACE;
  }
}
