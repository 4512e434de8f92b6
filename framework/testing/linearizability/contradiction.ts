import { searchLinearization } from './linearization-search.ts';
import type { Operation, SequentialModel } from './sequential-model.ts';

/** For one of the many checks on the way to a small contradiction. */
const STEPS_PER_ATTEMPT = 20_000;

/**
 * Where a history without an order goes wrong: the first return such that what happened until then, with all
 * that was still open taken for unknown, has no order; and an order of what returned before it. Found by
 * halving, since no history regains an order by going on.
 */
export function firstUnexplained<S, I, O>(
  model: SequentialModel<S, I, O>,
  operations: readonly Operation<I, O>[],
  maxSteps: number,
) {
  const returned = operations.filter((each) => each.returned);
  returned.sort((a, b) => (a.returned?.at ?? 0) - (b.returned?.at ?? 0));
  let explained = 0;
  let prefix: readonly Operation<I, O>[] = [];
  let state: unknown = model.fingerprint(model.initial);
  for (let contradictory = returned.length; contradictory - explained > 1; ) {
    const middle = Math.floor((explained + contradictory) / 2);
    const result = searchLinearization(model, until(operations, returned, middle), maxSteps);
    if (result.found === false) contradictory = middle;
    else explained = middle;
    if (result.found) ({ order: prefix, state } = result);
  }
  return { unexplained: returned[explained] as Operation<I, O>, prefix, state };
}

/** What was known when so many had returned. */
function until<I, O>(
  operations: readonly Operation<I, O>[],
  returned: readonly Operation<I, O>[],
  count: number,
): Operation<I, O>[] {
  const end = returned[count - 1]?.returned?.at ?? 0;
  const known = new Set(returned.slice(0, count));
  return operations
    .filter(({ invokedAt }) => invokedAt <= end)
    .map((each) => (known.has(each) ? each : unknown(each)));
}

/**
 * Few operations that contradict each other, whatever the others did. `operations` have no order, and
 * `unexplained` is the first that none explains.
 *
 * An operation is out of it if the contradiction stays when its outcome is taken for unknown: then it may
 * have run at any time after its call, or never. Halves are tried first, then quarters, and so on (Zeller and
 * Hildebrandt, "Simplifying and isolating failure-inducing input", 2002). What stays is small, though not
 * always the smallest.
 */
export function contradiction<S, I, O>(
  model: SequentialModel<S, I, O>,
  operations: readonly Operation<I, O>[],
  unexplained: Operation<I, O>,
  maxSteps: number,
): readonly Operation<I, O>[] {
  const end = unexplained.returned?.at ?? 0;
  const story = operations.filter(({ invokedAt }) => invokedAt <= end);
  const candidates = story.filter((each) => each.returned && each !== unexplained).sort(byCall);
  const readOnly = ({ input, returned }: Operation<I, O>) => model.readOnly({ input, outcome: returned });
  // Reads first: who wrote what tells a reader more than who else had read it.
  const reads = candidates.filter(readOnly);
  const needed = new Set([...reads, ...candidates.filter((each) => !readOnly(each))]);
  let budget = maxSteps;
  for (let size = Math.ceil(needed.size / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    const all = [...needed];
    for (let from = 0; from < all.length && budget > 0; from += size) {
      const chunk = all.slice(from, from + size);
      for (const each of chunk) needed.delete(each);
      const weaker = story.map((each) => (each === unexplained || needed.has(each) ? each : unknown(each)));
      const { found, steps } = searchLinearization(model, weaker, Math.min(budget, STEPS_PER_ATTEMPT));
      budget -= steps;
      if (found !== false) for (const each of chunk) needed.add(each);
    }
  }
  return [...needed, unexplained].sort(byCall);
}

function unknown<I, O>(operation: Operation<I, O>): Operation<I, O> {
  return { ...operation, returned: undefined };
}

function byCall(a: Operation<unknown, unknown>, b: Operation<unknown, unknown>): number {
  return a.invokedAt - b.invokedAt;
}
