import { serialize } from 'node:v8';
import type { Operation, SequentialModel, Step } from './sequential-model.ts';

/** Operations of unknown outcome with one and the same input: one is as good as the other. */
export interface UnknownClass<I, O> {
  readonly input: I;
  /** In order of their calls, so the first is there whenever any is. */
  readonly operations: readonly Operation<I, O>[];
  /** Classes that may be revealed by one of this class. */
  readonly reveals: readonly number[];
  /** The last operation that returned and may reveal one of these; after it they are of no use. */
  readonly lastUse: number;
}

/** An operation that returned. */
export interface Completed<I, O> extends Step<I, O> {
  readonly operation: Operation<I, O>;
  readonly returnedAt: number;
  readonly readOnly: boolean;
  /** Classes of unknown operations that it may reveal. */
  readonly reveals: readonly number[];
  /** Those called before it returned that return later: they may come first. In order of return. */
  readonly rivals: readonly number[];
}

/** The history of one object, laid out for the search: who returned when, and who may come before whom. */
export interface Timeline<I, O> {
  /** In order of return. */
  readonly completed: readonly Completed<I, O>[];
  readonly unknown: readonly UnknownClass<I, O>[];
}

/** Moves are numbers: the index of a completed operation, or below zero a class of unknown ones. */
export const unknownMove = (index: number): number => -1 - index;

export function timelineOf<S, I, O>(
  model: SequentialModel<S, I, O>,
  operations: readonly Operation<I, O>[],
): Timeline<I, O> {
  const returned = operations.flatMap((operation) => {
    const { input, returned: outcome, invokedAt } = operation;
    if (!outcome) return [];
    if (!(outcome.at >= invokedAt))
      throw new RangeError(`An operation returned before its call: ${outcome.at}`);
    return [{ operation, input, outcome, returnedAt: outcome.at }];
  });
  returned.sort((a, b) => a.returnedAt - b.returnedAt || a.operation.invokedAt - b.operation.invokedAt);
  const classes = unknownClasses(model, operations);
  const revealedBy = (step: Step<I, O>) =>
    classes.flatMap(({ input }, index) => (model.reveals(step, input) ? [index] : []));
  const rivals = rivalsOf(returned.map(({ operation, returnedAt }) => [operation.invokedAt, returnedAt]));
  const completed = returned.map((step, index) => ({
    ...step,
    readOnly: model.readOnly(step),
    reveals: revealedBy(step),
    rivals: rivals[index] ?? [],
  }));
  const unknown = classes.map((each) => ({
    ...each,
    reveals: revealedBy({ input: each.input, outcome: undefined }),
  }));
  const lastUses = lastUsesOf(completed, unknown);
  return { completed, unknown: unknown.map((each, index) => ({ ...each, lastUse: lastUses[index] ?? -1 })) };
}

function unknownClasses<S, I, O>(model: SequentialModel<S, I, O>, operations: readonly Operation<I, O>[]) {
  const classes = new Map<string, { input: I; operations: Operation<I, O>[] }>();
  for (const operation of operations) {
    const { input, returned } = operation;
    if (returned || model.readOnly({ input, outcome: undefined })) continue;
    const name = serialize(input).toString('latin1');
    const known = classes.get(name);
    if (known) known.operations.push(operation);
    else classes.set(name, { input, operations: [operation] });
  }
  for (const each of classes.values()) each.operations.sort((a, b) => a.invokedAt - b.invokedAt);
  return [...classes.values()];
}

/** Of intervals in order of their ends, for each the later ones that begin before it ends, or just then. */
function rivalsOf(intervals: readonly (readonly [from: number, to: number])[]): number[][] {
  const calls = intervals.map(([from], index) => ({ from, index })).sort((a, b) => a.from - b.from);
  const open = new Set<number>();
  let next = 0;
  return intervals.map(([, to], index) => {
    for (let call = calls[next]; call && call.from <= to; call = calls[++next]) open.add(call.index);
    open.delete(index);
    return [...open].sort((a, b) => a - b);
  });
}

/** An unknown operation is of use to what reveals it, and so to what reveals that, if that is unknown too. */
function lastUsesOf(
  completed: readonly { readonly reveals: readonly number[] }[],
  unknown: readonly { readonly reveals: readonly number[] }[],
): number[] {
  const lastUses = unknown.map(() => -1);
  completed.forEach(({ reveals }, index) => {
    for (const each of reveals) lastUses[each] = index;
  });
  for (let changed = true; changed; ) {
    changed = false;
    unknown.forEach(({ reveals }, index) => {
      for (const each of reveals) {
        if ((lastUses[each] ?? -1) >= (lastUses[index] ?? -1)) continue;
        lastUses[each] = lastUses[index] ?? -1;
        changed = true;
      }
    });
  }
  return lastUses;
}
