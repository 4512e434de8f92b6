import type { Operation, Outcome, RegisterInput, RegisterOutput } from 'granary/testing';
import { seeded } from './seeded.ts';

export type RegisterOperation = Operation<RegisterInput<number>, RegisterOutput<number>>;

export interface HistoryShape {
  readonly seed: number;
  readonly operations: number;
  readonly callers: number;
  /** Fraction whose outcome nobody learns. */
  readonly unknown?: number;
  /** Values to choose from; left out, every write brings its own. */
  readonly values?: number;
  readonly key?: string;
}

/**
 * What callers saw of a correct register of zero: each operation takes effect at some time between its call
 * and its return, or, if nobody learns of it, at any time after its call, or never. Each caller waits for
 * one operation before the next, however it ends.
 */
export function registerHistory(shape: HistoryShape): RegisterOperation[] {
  const { seed, operations, callers, unknown = 0, values = 0, key = 'register' } = shape;
  const random = seeded(seed);
  const free = Array.from({ length: callers }, () => Math.floor(random() * 10));
  let written = 0;
  const value = () => (values > 0 ? Math.floor(random() * values) : ++written);
  const calls = Array.from({ length: operations }, (_, index) => {
    const caller = free.indexOf(Math.min(...free));
    const invokedAt = (free[caller] ?? 0) + Math.floor(random() * 4);
    const at = invokedAt + 1 + Math.floor(random() * 20);
    free[caller] = at + 1;
    const lost = random() < unknown;
    const effectAt = invokedAt + random() * (at - invokedAt) * (lost ? 4 : 1);
    const runs = !lost || random() < 0.6;
    return { index, caller: `c${caller}`, invokedAt, at, effectAt, lost, runs, choice: random() };
  });
  let state = 0;
  const done = [...calls]
    .sort((a, b) => a.effectAt - b.effectAt)
    .map((call): [number, RegisterOperation] => {
      const { index, caller, invokedAt, at, lost, runs, choice } = call;
      const input: RegisterInput<number> =
        choice < 0.5
          ? { type: 'read' }
          : choice < 0.85
            ? { type: 'write', value: value() }
            : { type: 'compareAndSet', expected: choice < 0.95 ? state : value(), value: value() };
      const effect = apply(state, input);
      if (runs) state = effect.state;
      return [
        index,
        { caller, key, input, invokedAt, returned: lost ? undefined : { at, output: effect.output } },
      ];
    });
  return done.sort(([a], [b]) => a - b).map(([, operation]) => operation);
}

function apply(
  state: number,
  input: RegisterInput<number>,
): Outcome<RegisterOutput<number>> & { state: number } {
  if (input.type === 'read') return { state, output: state };
  if (input.type === 'write') return { state: input.value, output: undefined };
  const replaces = state === input.expected;
  return { state: replaces ? input.value : state, output: replaces };
}

/** With one answer exchanged for one that some other operation got, or that nobody could get. */
export function corrupted(history: readonly RegisterOperation[], seed: number): RegisterOperation[] {
  const random = seeded(seed);
  const reads = history.filter(({ input, returned }) => input.type === 'read' && returned);
  const victim = reads[Math.floor(random() * reads.length)];
  const other = reads[Math.floor(random() * reads.length)];
  return history.map((operation) => {
    if (operation !== victim || !operation.returned) return operation;
    const output = random() < 0.2 ? 10_000 : (other?.returned?.output ?? 0);
    return { ...operation, returned: { ...operation.returned, output } };
  });
}
