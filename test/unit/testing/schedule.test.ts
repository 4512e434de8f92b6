import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Host } from '../../../framework/testing/simulation/host.ts';
import { Schedule } from '../../../framework/testing/simulation/schedule.ts';

const host = { name: 'a' } as Host;
const nothing = () => {};

function drained(schedule: Schedule): number[] {
  const times: number[] = [];
  for (let next = schedule.next(); next; next = schedule.next()) times.push(next.at);
  return times;
}

describe('a schedule', () => {
  test('gives what was planned by time, and of the same time in the order of planning', () => {
    // Few times, so that many are equal.
    const plans = fc.array(fc.record({ at: fc.nat(20), cancelled: fc.boolean() }), { maxLength: 200 });
    fc.assert(
      fc.property(plans, (planned) => {
        const schedule = new Schedule();
        const happenings = planned.map(({ at }) => schedule.plan(at, host, nothing));
        for (const [i, { cancelled }] of planned.entries()) if (cancelled) happenings[i]?.cancel();
        const expected = happenings
          .filter((_, i) => !planned[i]?.cancelled)
          .sort((one, other) => one.at - other.at || one.order - other.order);
        const got = [];
        for (let next = schedule.next(); next; next = schedule.next()) got.push(next);
        expect(got).toEqual(expected);
      }),
    );
  });

  test('takes in what is planned while it is being emptied', () => {
    const schedule = new Schedule();
    for (const at of [5, 1, 3]) schedule.plan(at, host, nothing);
    expect(schedule.next()?.at).toBe(1);
    schedule.plan(2, host, nothing);
    schedule.plan(4, host, nothing);
    expect(drained(schedule)).toEqual([2, 3, 4, 5]);
    expect(schedule.next()).toBeUndefined();
  });

  test('has what is put off come at its new time, before what was planned later for that time', () => {
    const schedule = new Schedule();
    const first = schedule.plan(1, host, nothing);
    const second = schedule.plan(7, host, nothing);
    expect(schedule.next()).toBe(first);
    first.at = 7;
    schedule.replan(first);
    expect(schedule.next()).toBe(first);
    expect(schedule.next()).toBe(second);
  });
});

describe('a happening', () => {
  test('is taken once, and forgotten once, whatever is done to it afterwards', () => {
    let forgotten = 0;
    const happening = new Schedule().plan(1, host, nothing, () => forgotten++);
    expect(happening.take()).toBe(nothing);
    expect(happening.take()).toBeUndefined();
    happening.cancel();
    expect(forgotten).toBe(1);
  });

  test('that is cancelled is not taken, and is forgotten once', () => {
    let forgotten = 0;
    const happening = new Schedule().plan(1, host, nothing, () => forgotten++);
    happening.cancel();
    happening.cancel();
    expect(happening.take()).toBeUndefined();
    expect(forgotten).toBe(1);
  });
});
