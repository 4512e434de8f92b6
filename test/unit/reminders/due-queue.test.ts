import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type DueEntry, DueQueue } from '../../../framework/reminders/due-queue.ts';
import type { StoredReminder } from '../../../framework/storage/reminder-store.ts';

const entry = (key: number, at: number): DueEntry => {
  return { key: String(key), at, heard: 0, made: undefined, reminder: {} as StoredReminder };
};

test('what is due first comes first, each reminder once, as it was put in last', () => {
  const step = fc.record({ key: fc.nat(20), at: fc.nat(1_000), drop: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const queue = new DueQueue();
      const model = new Map<string, number>();
      for (const { key, at, drop } of steps) {
        if (drop) queue.drop(String(key));
        else queue.put(entry(key, at));
        if (drop) model.delete(String(key));
        else model.set(String(key), at);
        expect(queue.size).toBe(model.size);
        expect(queue.peek()?.at).toBe(model.size === 0 ? undefined : Math.min(...model.values()));
      }
      const taken: DueEntry[] = [];
      for (let next = queue.take(); next; next = queue.take()) taken.push(next);
      expect(taken.map(({ at }) => at)).toEqual([...model.values()].sort((a, b) => a - b));
      expect(new Map(taken.map(({ key, at }) => [key, at]))).toEqual(model);
      expect(queue.size).toBe(0);
    }),
  );
});
