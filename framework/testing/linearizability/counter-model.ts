import type { SequentialModel } from './sequential-model.ts';

export type CounterInput = { readonly type: 'read' } | { readonly type: 'add'; readonly amount: number };

/**
 * A sum that is added to and read. `read` answers the sum, `add` the new sum, or undefined if it does not
 * tell. Much of unknown outcome is cheap to check as long as the amounts are few.
 */
export function counterModel(initial = 0): SequentialModel<number, CounterInput, number | undefined> {
  return {
    name: 'counter',
    initial,
    step: (state, { input, outcome }) => {
      const sum = input.type === 'add' ? state + input.amount : state;
      const silent = !outcome || (input.type === 'add' && outcome.output === undefined);
      return silent || outcome.output === sum ? { state: sum } : undefined;
    },
    fingerprint: (state) => state,
    readOnly: ({ input }) => input.type === 'read' || input.amount === 0,
    // Nothing overwrites a sum: whatever was added shows for ever.
    reveals: (_, before) => before.type === 'add',
    describe: ({ input, outcome }) => {
      const call = input.type === 'read' ? 'read()' : `add(${input.amount})`;
      return outcome && outcome.output !== undefined ? `${call} → ${outcome.output}` : call;
    },
  };
}
