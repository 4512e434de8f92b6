import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { DeadlineWheel, type Expiring } from '../../../framework/rpc/deadline-wheel.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const TICK_MS = 20;

class Entry implements Expiring<Entry> {
  slot = -1;
  before: Entry | undefined;
  after: Entry | undefined;
  expiredAt: number | undefined;
  readonly deadline: number;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock, deadline: number) {
    this.#clock = clock;
    this.deadline = deadline;
  }

  expire(): void {
    expect(this.expiredAt).toBeUndefined();
    this.expiredAt = this.#clock.now();
  }
}

type Step =
  | { readonly do: 'add'; readonly inMs: number }
  | { readonly do: 'remove'; readonly which: number }
  | { readonly do: 'advance' | 'freeze'; readonly ms: number };

const ms = fc.oneof(fc.nat({ max: 60 }), fc.nat({ max: 60_000 }));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('add' as const), inMs: ms }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('remove' as const), which: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('advance' as const, 'freeze' as const), ms }) },
);

describe('the wheel of deadlines', () => {
  it('expires everything once, not early and at most one tick late, and nothing that was removed', () => {
    fc.assert(
      fc.property(fc.nat({ max: 100_000 }), fc.array(step, { maxLength: 60 }), (start, steps) => {
        const clock = new ManualClock(start);
        const wheel = new DeadlineWheel<Entry>(clock, (entry) => entry.expire());
        const waiting = new Set<Entry>();
        const removed: Entry[] = [];
        const check = (lateMs: number) => {
          for (const entry of waiting) {
            if (entry.expiredAt === undefined) {
              expect(clock.now() - entry.deadline).toBeLessThan(lateMs);
              continue;
            }
            waiting.delete(entry);
            expect(entry.expiredAt).toBeGreaterThanOrEqual(entry.deadline);
            expect(entry.expiredAt - entry.deadline).toBeLessThan(lateMs);
          }
          for (const entry of removed) expect(entry.expiredAt).toBeUndefined();
          expect(wheel.size).toBe(waiting.size);
          expect(clock.timers).toBeLessThanOrEqual(1);
        };
        for (const each of steps) {
          if (each.do === 'add') {
            const entry = new Entry(clock, clock.now() + each.inMs);
            waiting.add(entry);
            wheel.add(entry, clock.now());
          } else if (each.do === 'remove') {
            const entry = [...waiting][each.which % waiting.size];
            if (!entry) continue;
            waiting.delete(entry);
            removed.push(entry);
            wheel.remove(entry);
            wheel.remove(entry);
          } else {
            clock[each.do](each.ms);
          }
          // While the process is frozen nothing can expire; what was due does so at the end.
          check(each.do === 'freeze' ? each.ms + 2 * TICK_MS + 1 : 2 * TICK_MS + 1);
        }
        clock.advance(61_000);
        check(2 * TICK_MS + 1);
        expect(wheel.size).toBe(0);
        clock.advance(2 * TICK_MS);
        expect(clock.timers).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test('has one timer, however many calls come and are answered one after the other', () => {
    const clock = new ManualClock();
    const wheel = new DeadlineWheel<Entry>(clock, (entry) => entry.expire());
    for (let i = 0; i < 1_000; i++) {
      const entry = new Entry(clock, clock.now() + 1_000);
      wheel.add(entry, clock.now());
      clock.advance(3);
      expect(clock.timers).toBe(1);
      wheel.remove(entry);
    }
  });

  test('has one timer when what expires adds the next', () => {
    const clock = new ManualClock();
    const wheel = new DeadlineWheel<Entry>(clock, (entry) => entry.expire());
    let left = 50;
    const again = () => {
      const entry = new Entry(clock, clock.now() + 30);
      entry.expire = () => {
        if (--left > 0) again();
      };
      wheel.add(entry, clock.now());
    };
    again();
    for (let i = 0; i < 200 && left > 0; i++) {
      clock.advance(TICK_MS);
      expect(clock.timers).toBeLessThanOrEqual(1);
    }
    expect(left).toBe(0);
  });

  test('lets an entry that expires take others out that are due at the same moment', () => {
    const clock = new ManualClock();
    const wheel = new DeadlineWheel<Entry>(clock, (entry) => entry.expire());
    const entries = Array.from({ length: 10 }, () => new Entry(clock, 50));
    for (const entry of entries) {
      entry.expire = () => {
        entry.expiredAt = clock.now();
        for (const other of entries) wheel.remove(other);
      };
      wheel.add(entry, clock.now());
    }
    clock.advance(100);
    expect(entries.filter(({ expiredAt }) => expiredAt !== undefined)).toHaveLength(1);
    expect(wheel.size).toBe(0);
  });
});
