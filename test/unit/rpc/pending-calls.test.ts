import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../framework/grain/reference.ts';
import type { Replies } from '../../../framework/rpc/call.ts';
import { PendingCall } from '../../../framework/rpc/pending-call.ts';
import { PendingCalls } from '../../../framework/rpc/pending-calls.ts';

describe('the calls that wait', () => {
  test('are those that were added and not removed, oldest first, whatever comes and goes', () => {
    const steps = fc.array(fc.nat({ max: 2_000 }), { minLength: 1, maxLength: 3_000 });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 700 }), (choices, most) => {
        const pending = new PendingCalls();
        const model: PendingCall[] = [];
        let lastId = 0;
        for (const choice of choices) {
          if (model.length < most && choice % 3 > 0) {
            model.push(made(pending));
            expect(model.at(-1)?.id).toBeGreaterThan(lastId);
            lastId = model.at(-1)?.id as number;
          } else if (model.length > 0) {
            const [gone] = model.splice(choice % model.length, 1) as [PendingCall];
            expect(pending.remove(gone)).toBe(true);
            expect(pending.remove(gone)).toBe(false);
            expect([pending.has(gone), pending.get(gone.id)]).toEqual([false, undefined]);
          }
          expect(pending.size).toBe(model.length);
        }
        expect(ids(pending.oldestFirst())).toEqual(ids(model));
        for (const call of model) expect([pending.get(call.id), pending.has(call)]).toEqual([call, true]);
      }),
      { numRuns: 50 },
    );
  });

  test('keep their place while one that waits for hours is passed over again and again', () => {
    const pending = new PendingCalls();
    const stream = made(pending);
    for (let i = 0; i < 10_000; i++) {
      const call = made(pending);
      expect(call.id % 256).not.toBe(stream.id % 256); // else there would be ever more slots
      pending.remove(call);
    }
    expect(pending.get(stream.id)).toBe(stream);
    expect(pending.oldestFirst()).toEqual([stream]);
  });

  test('are kept apart when one got its number long before it was added', () => {
    const pending = new PendingCalls();
    const id = pending.nextId();
    const others: PendingCall[] = [];
    for (let i = 0; i < 10_000; i++) {
      const other = made(pending);
      if (other.id % 256 === id % 256) others.push(other);
      else pending.remove(other);
    }
    const late = numbered(id);
    pending.add(late);
    expect(pending.oldestFirst()).toEqual([...others, late]);
    for (const call of [...others, late]) expect(pending.get(call.id)).toBe(call);
  });

  test.each([['1'], [1n], [1.5], [-1], [Number.NaN], [2 ** 40 + 1], [[1]], [null], [undefined]])(
    'are not found by %s',
    (id) => {
      const pending = new PendingCalls();
      made(pending);
      expect(pending.get(id)).toBeUndefined();
    },
  );
});

function made(pending: PendingCalls): PendingCall {
  const call = numbered(pending.nextId());
  pending.add(call);
  return call;
}

function numbered(id: number): PendingCall {
  const outgoing = { target: 'T/1', method: 'm', spec: undefined, args: [], options: undefined };
  const outcome = { resolve() {}, reject() {}, push() {} };
  return new PendingCall(outgoing, 'me', id, 0, {} as Replies, {} as Caller, outcome);
}

function ids(calls: readonly PendingCall[]): number[] {
  return calls.map(({ id }) => id);
}
