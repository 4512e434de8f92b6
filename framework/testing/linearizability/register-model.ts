import type { SequentialModel, Step } from './sequential-model.ts';

export type RegisterValue = string | number | boolean | bigint | null | undefined;

export type RegisterInput<V extends RegisterValue> =
  | { readonly type: 'read' }
  | { readonly type: 'write'; readonly value: V }
  | { readonly type: 'compareAndSet'; readonly expected: V; readonly value: V };

/** `read` answers the value, `compareAndSet` whether it was the expected one; `write` answers nothing. */
export type RegisterOutput<V extends RegisterValue> = V | boolean | undefined;

/**
 * One value that is read, written, and replaced if it is the expected one. Histories tell most, and are
 * checked fastest, when every write brings a value of its own.
 */
export function registerModel<V extends RegisterValue>(
  initial: V,
): SequentialModel<V, RegisterInput<V>, RegisterOutput<V>> {
  type RegisterStep = Step<RegisterInput<V>, RegisterOutput<V>>;
  return {
    name: 'register',
    initial,
    step: (state, { input, outcome }) => {
      if (input.type === 'read') return !outcome || Object.is(outcome.output, state) ? { state } : undefined;
      if (input.type === 'write') return { state: input.value };
      const replaces = Object.is(state, input.expected);
      if (outcome && outcome.output !== replaces) return undefined;
      return { state: replaces ? input.value : state };
    },
    fingerprint: (state) => state,
    readOnly: ({ input, outcome }: RegisterStep) =>
      input.type === 'read' || (input.type === 'compareAndSet' && outcome?.output === false),
    reveals: ({ input, outcome }, before) => {
      if (before.type === 'read' || input.type === 'write') return false;
      if (input.type === 'read') return outcome !== undefined && Object.is(outcome.output, before.value);
      return Object.is(before.value, input.expected) !== (outcome?.output === false);
    },
    describe: ({ input, outcome }) => {
      const answer = outcome ? ` → ${literal(outcome.output)}` : '';
      if (input.type === 'read') return `read()${answer}`;
      if (input.type === 'write') return `write(${literal(input.value)})`;
      return `compareAndSet(${literal(input.expected)}, ${literal(input.value)})${answer}`;
    },
  };
}

function literal(value: RegisterValue): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
