import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RemindOptions } from '../../../framework/grain/reminder-options.ts';
import {
  checkSchedule,
  firstDue,
  parseSchedule,
  planTick,
  scheduleText,
} from '../../../framework/reminders/schedule.ts';

const at = (text: string) => Date.parse(text);
const schedule = (options: RemindOptions) => checkSchedule('remind', options);
const planned = (options: RemindOptions, due: string, now: string) => {
  const { next, ...rest } = planTick(schedule(options), at(due), at(now));
  return { ...rest, next: next === undefined ? undefined : new Date(next).toISOString() };
};
/** The times that follow each other from a moment on. */
const run = (options: RemindOptions, from: string, count: number) => {
  const times = [firstDue(schedule(options), at(from)) as number];
  while (times.length < count) {
    const last = times.at(-1) as number;
    times.push(planTick(schedule(options), last, last).next as number);
  }
  return times.map((time) => new Date(time).toISOString().slice(5, 16));
};

describe('the first tick is due', () => {
  const now = at('2030-01-01T00:00:00.500Z');
  test.each([
    [{ dueMs: 250 }, now + 250],
    [{ dueMs: 0 }, now],
    [{ periodMs: 1_000 }, now + 1_000],
    [{ periodMs: 1_000, dueMs: 5 }, now + 5],
    [{ periodMs: 1_000, at: 77 }, 77],
    [{ at: new Date(now + 9) }, now + 9],
    [{ cron: '0 9 * * *' }, at('2030-01-01T09:00:00Z')],
    [{ cron: '* * * * * *' }, now + 500],
    [{ cron: '0 9 * * *', timezone: 'America/New_York' }, at('2030-01-01T14:00:00Z')],
  ] satisfies [RemindOptions, number][])('%j', (options, due) => {
    expect(firstDue(schedule(options), now)).toBe(due);
  });
});

describe('what was missed', () => {
  const due = '2030-01-01T12:00:00.000Z';
  const hourly = { periodMs: 3_600_000 };

  test('is made up for by one tick, unless something else was asked for', () => {
    expect(planned(hourly, due, '2030-01-01T15:30:00Z')).toEqual({
      ...{ ticks: true, missed: 3 },
      next: '2030-01-01T16:00:00.000Z',
    });
  });

  test('is nothing when the tick is made in time', () => {
    for (const missed of ['once', 'all', 'skip'] as const) {
      const next = '2030-01-01T13:00:00.000Z';
      expect(planned({ ...hourly, missed }, due, due)).toEqual({ ticks: true, missed: 0, next });
    }
  });

  test('is made up for one by one', () => {
    const plan = planned({ ...hourly, missed: 'all' }, due, '2030-01-01T15:30:00Z');
    expect(plan).toEqual({ ticks: true, missed: 0, next: '2030-01-01T13:00:00.000Z' });
  });

  test('is skipped: the next one is at the next regular time', () => {
    const plan = planned({ ...hourly, missed: 'skip' }, due, '2030-01-01T15:30:00Z');
    expect(plan).toEqual({ ticks: false, missed: 3, next: '2030-01-01T16:00:00.000Z' });
  });

  test('is not what a take-over made a little late', () => {
    const options = { ...hourly, missed: 'skip' } as const;
    expect(planned(options, due, '2030-01-01T12:00:59Z').ticks).toBe(true);
    expect(planned(options, due, '2030-01-01T12:01:01Z').ticks).toBe(false);
    // By then the next one is due.
    expect(planned({ periodMs: 1_000, missed: 'skip' }, due, '2030-01-01T12:00:01Z').ticks).toBe(false);
  });

  test('of a reminder that comes once is that one tick, unless it is to be skipped', () => {
    const [once, late] = [{ at: at(due) }, '2030-01-05T00:00:00Z'];
    expect(planned(once, due, late)).toEqual({ ticks: true, missed: 0, next: undefined });
    expect(planned({ ...once, missed: 'skip' }, due, late).ticks).toBe(false);
  });

  test('is counted up to a hundred of a cron expression, and passed over however many there are', () => {
    const plan = planned({ cron: '* * * * * *' }, due, '2030-02-01T00:00:00.250Z');
    expect(plan).toEqual({ ticks: true, missed: 100, next: '2030-02-01T00:00:01.000Z' });
  });

  test('never makes a period drift', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1_000, max: 1e9 }),
        fc.integer({ min: 0, max: 1e12 }),
        (periodMs, late) => {
          const { missed, next } = planTick(schedule({ periodMs }), 5, 5 + late);
          expect(next).toBe(5 + (missed + 1) * periodMs);
          expect(next).toBeGreaterThan(5 + late);
          expect((next as number) - periodMs).toBeLessThanOrEqual(5 + late);
        },
      ),
    );
  });
});

describe('a cron expression where clocks are changed', () => {
  const timezone = 'Europe/Berlin';

  test('takes a local time that there is not at the next one that there is', () => {
    const options = { cron: '30 2 * * *', timezone };
    expect(run(options, '2026-03-28T00:00:00Z', 3)).toEqual(['03-28T01:30', '03-29T01:00', '03-30T00:30']);
  });

  test('takes a local time that comes twice once', () => {
    const options = { cron: '30 2 * * *', timezone };
    expect(run(options, '2026-10-24T00:00:00Z', 3)).toEqual(['10-24T00:30', '10-25T00:30', '10-26T01:30']);
  });

  test('goes on every hour, whatever it is called', () => {
    const options = { cron: '0 * * * *', timezone };
    const autumn = ['10-24T23:00', '10-25T00:00', '10-25T01:00', '10-25T02:00'];
    expect(run(options, '2026-10-24T22:30:00Z', 4)).toEqual(autumn);
    const spring = ['03-29T00:00', '03-29T01:00', '03-29T02:00'];
    expect(run(options, '2026-03-28T23:30:00Z', 3)).toEqual(spring);
  });

  test('gives the same answers in whatever order it is asked', () => {
    const options = schedule({ cron: '*/20 3 * * *', timezone });
    const times = [at('2026-05-01T00:00Z'), at('2026-05-02T01:10Z'), at('2026-05-01T01:05Z')];
    const first = times.map((time) => firstDue(options, time));
    expect([...times].reverse().map((time) => firstDue(options, time))).toEqual(first.reverse());
  });
});

describe('a schedule is refused', () => {
  test.each([
    [{}, 'it says nothing of when'],
    [null, 'say when'],
    [{ every: 5 }, `there is no option 'every'`],
    [{ dueMs: 1, at: 1 }, 'dueMs and at both say when it begins'],
    [{ cron: '* * * * *', periodMs: 1_000 }, 'leave out dueMs, at and periodMs'],
    [{ dueMs: -1 }, 'dueMs is -1; it must be a number from 0'],
    [{ dueMs: Number.NaN }, 'dueMs is NaN'],
    [{ periodMs: 999 }, 'periodMs is 999; it must be a number from 1000'],
    [{ periodMs: Number.POSITIVE_INFINITY }, 'periodMs is Infinity'],
    [{ at: new Date('never') }, 'at is Invalid Date; it must be a valid Date'],
    [{ at: '2030-01-01' }, 'at is 2030-01-01; it must be a valid Date, or milliseconds'],
    [{ dueMs: 1, timezone: 'UTC' }, 'a timezone goes with cron only'],
    [{ dueMs: 1, missed: 'never' }, `missed is never; it must be 'once', 'all' or 'skip'`],
    [{ cron: 'tomorrow' }, 'it needs five fields'],
    [{ cron: '2030-01-01T00:00:00' }, 'it needs five fields'],
    [{ cron: '61 * * * *' }, `cron '61 * * * *' in UTC: `],
    [{ cron: '0 0 31 2 *' }, 'names no time at all'],
    [
      { cron: '0 0 * * *', timezone: 'Mars/Olympus' },
      `'Mars/Olympus' is no time zone; use a name such as 'Europe/Berlin'`,
    ],
    [{ cron: 5 }, 'cron and timezone are texts'],
  ])('%j', (options, message) => {
    const check = () => schedule(options as RemindOptions);
    expect(check).toThrow(expect.objectContaining({ code: 'INVALID_CONFIG' }));
    expect(check).toThrow(message);
    expect(check).toThrow(/^remind: /);
  });
});

test('a schedule that is stored and read is the same; one that another version wrote is refused', () => {
  for (const options of [
    { dueMs: 5 },
    { at: 5, periodMs: 1_000 },
    { cron: '0 9 * * *' },
  ] as RemindOptions[]) {
    const checked = schedule(options);
    expect(parseSchedule(scheduleText(checked))).toEqual(checked);
  }
  expect(() => parseSchedule('{"missed":"twice","dueMs":1}')).toThrow('twice');
  expect(() => parseSchedule('{"missed":"once","moon":"full"}')).toThrow('moon');
  expect(() => parseSchedule('')).toThrow();
});
