import { contradiction, firstUnexplained } from './contradiction.ts';
import { searchLinearization } from './linearization-search.ts';
import type { Operation, SequentialModel } from './sequential-model.ts';

export type Linearizability<I, O> =
  | { readonly linearizable: true }
  | NotLinearizable<I, O>
  /** Some object's history was too much for the steps allowed, and no other's is wrong. */
  | { readonly linearizable: 'unknown'; readonly key: string; readonly explanation: string };

export interface NotLinearizable<I, O> {
  readonly linearizable: false;
  readonly key: string;
  /** The first operation to return whose return no order explains. */
  readonly unexplained: Operation<I, O>;
  /**
   * Few operations, `unexplained` among them, in order of their calls, that contradict each other, whether
   * and whenever (after their calls) the others took effect.
   */
  readonly contradiction: readonly Operation<I, O>[];
  /** The longest order: of all that returned before `unexplained`, and of what else had to run for that. */
  readonly prefix: readonly Operation<I, O>[];
  /** All of this in a few lines. */
  readonly explanation: string;
}

export interface LinearizabilityOptions {
  /** Steps of the model for each object, before the answer is 'unknown'; a million is about a second. */
  readonly maxSteps?: number;
}

const MAX_STEPS = 1_000_000;
const SHOWN_OPERATIONS = 10;
const SHOWN_PREFIX = 3;

/**
 * Whether every operation of a recorded history seems to take effect at once, at some time between its call
 * and its return, on an object that behaves like the model (Herlihy and Wing, 1990). Takes no time but steps:
 * the same history always gets the same answer. Throws a `RangeError` for a return before its call.
 */
export function checkLinearizable<S, I, O>(
  model: SequentialModel<S, I, O>,
  operations: readonly Operation<I, O>[],
  { maxSteps = MAX_STEPS }: LinearizabilityOptions = {},
): Linearizability<I, O> {
  let tooMuch: string | undefined;
  for (const [key, ofKey] of byKey(operations)) {
    const result = searchLinearization(model, ofKey, maxSteps);
    if (result.found === undefined) tooMuch ??= key;
    if (result.found !== false) continue;
    const { unexplained, prefix, state } = firstUnexplained(model, ofKey, maxSteps);
    const core = contradiction(model, ofKey, unexplained, maxSteps);
    const violation = { key, unexplained, contradiction: core, prefix };
    const explanation = explain(model, violation, ofKey.length, state);
    return { linearizable: false, ...violation, explanation };
  }
  if (tooMuch === undefined) return { linearizable: true };
  const explanation = `${title(model, tooMuch)}: more than ${maxSteps} steps, not decided.`;
  return { linearizable: 'unknown', key: tooMuch, explanation };
}

function byKey<I, O>(operations: readonly Operation<I, O>[]): Map<string, Operation<I, O>[]> {
  const keys = new Map<string, Operation<I, O>[]>();
  for (const operation of operations) {
    const ofKey = keys.get(operation.key);
    if (ofKey) ofKey.push(operation);
    else keys.set(operation.key, [operation]);
  }
  return keys;
}

function explain<S, I, O>(
  model: SequentialModel<S, I, O>,
  { key, unexplained, contradiction, prefix }: Omit<NotLinearizable<I, O>, 'linearizable' | 'explanation'>,
  total: number,
  state: unknown,
): string {
  const cells = contradiction.slice(-SHOWN_OPERATIONS).map((operation) => {
    const { caller, invokedAt, input, returned } = operation;
    const mark = operation === unexplained ? '   ← no order explains this' : '';
    return [
      caller,
      `${invokedAt}–${returned?.at ?? '?'}`,
      model.describe({ input, outcome: returned }) + mark,
    ];
  });
  const width = (column: number) => Math.max(...cells.map((row) => row[column]?.length ?? 0));
  const [callers, times] = [width(0), width(1)];
  const hidden = contradiction.length - cells.length;
  const others = total - contradiction.length;
  const tail = prefix.slice(-SHOWN_PREFIX).map(({ caller, input, returned }) => {
    return `${caller} ${model.describe({ input, outcome: returned })}`;
  });
  if (tail.length < prefix.length) tail.unshift('…');
  return [
    `${title(model, key)} is not linearizable. These contradict each other:`,
    ...(hidden > 0 ? [`  … and ${hidden} before`] : []),
    ...cells.map(([who = '', when = '', what]) => `  ${who.padEnd(callers)}  ${when.padEnd(times)}  ${what}`),
    ...(others > 0
      ? [`It does not matter whether, or when after their calls, the other ${others} ran.`]
      : []),
    `The longest order without it: ${tail.join(', ') || 'nothing'}; the state is then ${String(state)}.`,
  ].join('\n');
}

function title<S, I, O>(model: SequentialModel<S, I, O>, key: string): string {
  return `The ${model.name} ${JSON.stringify(key)}`;
}
