import { Revelations } from './revelations.ts';
import type { Operation, SequentialModel, Step } from './sequential-model.ts';
import { type Completed, type Timeline, timelineOf, type UnknownClass, unknownMove } from './timeline.ts';

/**
 * Is there an order of one object's operations, each placed between its call and its return, that a
 * sequential object could have answered in the same way?
 *
 * The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993) with Lowe's two
 * improvements ("Testing for linearizability", 2017), of which Porcupine has the first: what was reached
 * once is not searched again, and operations are ordered just in time. Just in time means: we walk from
 * return to return. The operation that returns next must be placed now; before it may come others that have
 * been called, but only as many as needed. So the walk tries it alone, then after one other, and so on, and
 * goes to the next return as soon as it can; it comes back for the other ways only when it is stuck. Levels
 * are returns: one queue for each, and always the first of the highest. A way is given up at once when it
 * leaves the last state that some operation, however much later it was called, could have seen.
 *
 * Operations of unknown outcome are what makes this hard: they stay open for ever, and all subsets of them
 * could have taken effect. Four rules keep them from exploding, each of which loses no answer:
 *  - One is placed only if what comes next reveals it (`SequentialModel.reveals`), or it might as well not
 *    have run.
 *  - Those with the same input are interchangeable: a configuration counts how many of each class it took.
 *  - Who got to the same place having taken fewer can do all that the other can.
 *  - When the last operation that could reveal a class has returned, its count is forgotten.
 * Read-only operations are placed as soon as they fit: they are in nobody's way.
 */
export type SearchResult<I, O> =
  | {
      readonly found: true;
      readonly steps: number;
      /** All that returned, and of the unknown what had to run. */
      readonly order: readonly Operation<I, O>[];
      /** The fingerprint of the state after it. */
      readonly state: unknown;
    }
  /** False: there is none. Undefined: not decided within the steps allowed. */
  | { readonly found: false | undefined; readonly steps: number };

/** How far a walk came. */
interface Arrival<S> {
  readonly state: S;
  /** The operation that must be placed next: the first, in order of return, that is not. */
  readonly level: number;
  /** What is placed already of those that return later; in order of return. */
  readonly ahead: readonly number[];
  /** How many of each class of unknown operations. */
  readonly taken: readonly number[];
  /** The class of the unknown operation just placed, which the next must reveal. */
  readonly unrevealed: number | undefined;
  /** What was last placed that may have changed the state, as a move. */
  readonly setter: number | undefined;
  readonly before: Configuration<S> | undefined;
  /** Placed since `before`: completed ones by their index, an unknown one as what `unknownMove` says. */
  readonly placed: readonly number[];
}

interface Configuration<S> extends Arrival<S> {
  /** Ways on from here, found out when the operation of this level alone will not do. */
  moves: readonly number[] | undefined;
  /** How many of them have been tried. */
  tried: number;
}

/** Sets of taken operations that are compared with; more are not worth their time. */
const COMPARED_SETS = 64;

export function searchLinearization<S, I, O>(
  model: SequentialModel<S, I, O>,
  operations: readonly Operation<I, O>[],
  maxSteps: number,
): SearchResult<I, O> {
  return new LinearizationSearch(model, timelineOf(model, operations), maxSteps).run();
}

class LinearizationSearch<S, I, O> {
  readonly #model: SequentialModel<S, I, O>;
  readonly #completed: readonly Completed<I, O>[];
  readonly #unknown: readonly UnknownClass<I, O>[];
  readonly #revelations: Revelations<S, I, O>;
  readonly #maxSteps: number;
  #steps = 0;
  /** By level: configurations that may have ways left. */
  readonly #queues: { readonly waiting: Configuration<S>[]; head: number }[] = [];
  /** By level and place: what was taken on the ways there. */
  readonly #visited: Map<string, (readonly number[])[]>[] = [];
  readonly #states = new Map<unknown, number>();

  constructor(model: SequentialModel<S, I, O>, timeline: Timeline<I, O>, maxSteps: number) {
    this.#model = model;
    this.#completed = timeline.completed;
    this.#unknown = timeline.unknown;
    this.#revelations = new Revelations(model, timeline);
    this.#maxSteps = maxSteps;
  }

  run(): SearchResult<I, O> {
    this.#enter({
      state: this.#model.initial,
      level: 0,
      ahead: [],
      taken: this.#unknown.map(() => 0),
      unrevealed: undefined,
      setter: undefined,
      before: undefined,
      placed: [],
    });
    let level = this.#queues.length - 1;
    while (level >= 0 && level < this.#completed.length) {
      if (this.#steps > this.#maxSteps) return { found: undefined, steps: this.#steps };
      const queue = this.#queues[level];
      const configuration = queue?.waiting[queue.head];
      if (!queue || !configuration) {
        level--;
        continue;
      }
      const move = this.#nextMove(configuration);
      if (move === undefined) queue.head++;
      else level = Math.max(level, this.#take(configuration, move));
    }
    const last = this.#queues[level]?.waiting[0];
    if (!last) return { found: false, steps: this.#steps };
    const state = this.#model.fingerprint(last.state);
    return { found: true, steps: this.#steps, order: this.#order(last), state };
  }

  /** The next untried way on: the operation of this level alone, then what may come before it. */
  #nextMove(configuration: Configuration<S>): number | undefined {
    if (configuration.tried++ === 0) return configuration.level;
    configuration.moves ??= this.#moves(configuration);
    return configuration.moves[configuration.tried - 2];
  }

  #moves({ level, ahead, taken, unrevealed }: Configuration<S>): number[] {
    const here = this.#completed[level];
    if (!here) return [];
    const open = here.rivals.filter((index) => !ahead.includes(index));
    const revealing = (step: { readonly reveals: readonly number[] } | undefined) =>
      unrevealed === undefined || step?.reveals.includes(unrevealed);
    const rivals = open.filter((index) => {
      const rival = this.#completed[index];
      // Read-only ones have been placed if they fit.
      return !rival?.readOnly && revealing(rival);
    });
    const useful = new Set([level, ...open].flatMap((index) => this.#completed[index]?.reveals ?? []));
    const there = (index: number) => {
      const { operations } = this.#unknown[index] as UnknownClass<I, O>;
      const first = operations[taken[index] ?? 0];
      return first !== undefined && first.invokedAt <= here.returnedAt;
    };
    // The set grows while it is walked: one unknown operation may be of use to another only.
    for (const index of useful) {
      if (there(index)) for (const each of this.#unknown[index]?.reveals ?? []) useful.add(each);
    }
    const unknown = [...useful].filter((index) => there(index) && revealing(this.#unknown[index]));
    return [...rivals, ...unknown.map(unknownMove)];
  }

  /** Places one operation; returns the level that this leads to, or -1 if it leads nowhere new. */
  #take(configuration: Configuration<S>, move: number): number {
    const { level, ahead, unrevealed, state } = configuration;
    const step = this.#completed[move];
    if (!step) return this.#takeUnknown(configuration, unknownMove(move));
    if (unrevealed !== undefined && !step.reveals.includes(unrevealed)) return -1;
    const next = this.#step(state, step);
    if (!next) return -1;
    const here = move === level;
    return this.#enter({
      ...next,
      level: here ? level + 1 : level,
      ahead: here ? ahead : insert(ahead, move),
      taken: configuration.taken,
      unrevealed: undefined,
      setter: move,
      before: configuration,
      placed: [move],
    });
  }

  #takeUnknown(configuration: Configuration<S>, index: number): number {
    const { level, ahead, taken, state } = configuration;
    const { input } = this.#unknown[index] as UnknownClass<I, O>;
    const next = this.#step(state, { input, outcome: undefined });
    if (!next || this.#stateNumber(next.state) === this.#stateNumber(state)) return -1;
    return this.#enter({
      ...next,
      level,
      ahead,
      taken: taken.map((count, each) => (each === index ? count + 1 : count)),
      unrevealed: index,
      setter: unknownMove(index),
      before: configuration,
      placed: [unknownMove(index)],
    });
  }

  /**
   * Whether the state before was the last in which some operation yet to be placed could fit: all that it
   * might reveal has been placed. With a value of its own for every write, a write is thus not overwritten
   * before all who read it are placed, however much later they were called.
   */
  #isDeadEnd({ state, level, ahead, taken, before }: Arrival<S>): boolean {
    const isPlaced = (index: number) => index < level || ahead.includes(index);
    const isSpent = (index: number) => {
      const unknown = this.#unknown[index];
      return !unknown || unknown.lastUse < level || (taken[index] ?? 0) >= unknown.operations.length;
    };
    return this.#revelations.revealersOf(before?.setter).some((index) => {
      const operation = this.#completed[index];
      if (!operation || isPlaced(index) || !operation.reveals.every(isSpent)) return false;
      const sources = this.#revelations.sourcesOf(index);
      return sources?.every(isPlaced) && !this.#step(state, operation);
    });
  }

  /** With all read-only operations placed that fit, and the level raised over all that is placed. */
  #settled(configuration: Arrival<S>): Configuration<S> {
    const placed = [...configuration.placed];
    let { level, ahead, taken, unrevealed } = configuration;
    for (let here = this.#completed[level]; here; here = this.#completed[level]) {
      for (const index of [level, ...here.rivals]) {
        const rival = this.#completed[index];
        if (!rival?.readOnly || ahead.includes(index) || !this.#step(configuration.state, rival)) continue;
        ahead = insert(ahead, index);
        placed.push(index);
        if (unrevealed !== undefined && rival.reveals.includes(unrevealed)) unrevealed = undefined;
      }
      if (ahead[0] !== level) break;
      ahead = ahead.slice(1);
      level++;
    }
    if (level > (configuration.before?.level ?? 0)) taken = this.#forgotten(taken, level);
    return { ...configuration, level, ahead, taken, unrevealed, placed, moves: undefined, tried: 0 };
  }

  #forgotten(taken: readonly number[], level: number): readonly number[] {
    const useless = (count: number, index: number) =>
      count > 0 && (this.#unknown[index] as UnknownClass<I, O>).lastUse < level;
    return taken.some(useless) ? taken.map((count, index) => (useless(count, index) ? 0 : count)) : taken;
  }

  #step(state: S, step: Step<I, O>): { readonly state: S } | undefined {
    this.#steps++;
    return this.#model.step(state, step);
  }

  #stateNumber(state: S): number {
    const fingerprint = this.#model.fingerprint(state);
    const known = this.#states.get(fingerprint);
    if (known !== undefined) return known;
    this.#states.set(fingerprint, this.#states.size);
    return this.#states.size - 1;
  }

  /** Queues it, unless a way that took no more has been here. */
  #enter(arrival: Arrival<S>): number {
    if (this.#isDeadEnd(arrival)) return -1;
    const configuration = this.#settled(arrival);
    const { level, ahead, taken, unrevealed, state } = configuration;
    this.#visited[level] ??= new Map();
    const visited = this.#visited[level];
    const place = `${this.#stateNumber(state)} ${ahead.join(' ')}`;
    const restricted = unrevealed === undefined ? place : `${place}/${unrevealed}`;
    const within = (sets: (readonly number[])[] | undefined) => sets?.some((set) => isWithin(set, taken));
    if (within(visited.get(place)) || within(visited.get(restricted))) return -1;
    const sets = visited.get(restricted) ?? [];
    if (sets.length === 0) visited.set(restricted, sets);
    if (sets.length < COMPARED_SETS) sets.push(taken);
    for (let each = this.#queues.length; each <= level; each++) this.#queues[each] = { waiting: [], head: 0 };
    this.#queues[level]?.waiting.push(configuration);
    return level;
  }

  /** All that was placed on the way here. */
  #order(last: Configuration<S>): Operation<I, O>[] {
    const ways: Configuration<S>[] = [];
    for (let each: Configuration<S> | undefined = last; each; each = each.before) ways.push(each);
    const unknown = this.#unknown.map(({ operations }) => operations.values());
    return ways.reverse().flatMap(({ placed }) =>
      placed.flatMap((move) => {
        const next = move < 0 ? unknown[unknownMove(move)]?.next().value : this.#completed[move]?.operation;
        return next ?? [];
      }),
    );
  }
}

/** Whether of no class more were taken. */
function isWithin(some: readonly number[], all: readonly number[]): boolean {
  return some === all || some.every((count, index) => count <= (all[index] ?? 0));
}

function insert(sorted: readonly number[], value: number): number[] {
  const at = sorted.findIndex((each) => each > value);
  return at < 0 ? [...sorted, value] : [...sorted.slice(0, at), value, ...sorted.slice(at)];
}
