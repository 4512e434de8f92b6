import { afterEach, expect, test } from 'vitest';
import type { Directory } from '../../../framework/directory/directory.ts';
import { StoreError } from '../../../framework/errors.ts';
import type { OutgoingCall } from '../../../framework/grain/reference.ts';
import type { ReminderTick } from '../../../framework/grain/reminder-options.ts';
import { hash32 } from '../../../framework/identity/hash.ts';
import { LIMITS } from '../../../framework/limits.ts';
import { RuntimeEvents } from '../../../framework/observability/events.ts';
import { SiloReminders } from '../../../framework/reminders/silo-reminders.ts';
import type { StoredReminder } from '../../../framework/storage/reminder-store.ts';
import { systemRandom } from '../../../framework/system/random.ts';
import { memory } from '../../../persistence/memory.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const START = 1_000_000;

/** One silo's reminders, on a clock that stands still, before a grain that answers when it is told to. */
class Stage {
  readonly clock = new ManualClock(START);
  readonly store = memory();
  readonly events = new RuntimeEvents();
  readonly told: string[] = [];
  /** Keys of the ticks made, in order. */
  readonly made: string[] = [];
  readonly #waiting: (() => void)[] = [];
  primary = 'me';
  isOpen = true;
  inUse = true;
  answersAtOnce = true;
  mostUnderWay = 0;
  readonly reminders: SiloReminders;

  constructor() {
    const directory = {
      era: { ring: { partitions: 4 } },
      partitionOf: (grain: string) => hash32(grain) & 3,
      primary: () => this.primary,
      isOpen: () => this.isOpen,
    } as unknown as Directory;
    this.events.subscribe(({ type }) => this.told.push(type));
    this.reminders = new SiloReminders({
      ...{ clock: this.clock, random: systemRandom, events: this.events, types: new Map(), self: 'me' },
      ...{ directory, store: this.store, inUse: () => this.inUse },
      caller: { invoke: (call: OutgoingCall) => this.#tick(call) } as never,
    });
  }

  reminder(key: string, dueAt: number): StoredReminder {
    const names = { type: 'T', key, name: 'n', hash: hash32(`T/${key}`), registration: `r${key}` };
    return { ...names, dueAt, wakeAt: dueAt, failures: 0, schedule: '{"dueMs":0,"missed":"once"}' };
  }

  begin(): void {
    this.events.publish({ type: 'eraSettled', era: 'e', tookMs: 0 });
  }

  /** Lets time pass, and everything that follows from it happen. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed <= ms; passed += 100) {
      this.clock.advance(passed === 0 ? 1 : 100);
      for (let round = 0; round < 3; round++) {
        await new Promise((resolve) => setImmediate(resolve));
        this.clock.goRound();
      }
    }
  }

  answer(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async #tick({ target, args }: OutgoingCall): Promise<number> {
    this.made.push(target.slice(2));
    this.mostUnderWay = Math.max(this.mostUnderWay, this.reminders.underWay);
    if (!this.answersAtOnce) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return (args[1] as ReminderTick).missed;
  }
}

let stage = new Stage();
afterEach(() => {
  stage.reminders.stop();
  stage = new Stage();
});

test('of more reminders than a silo keeps each makes its tick, a bounded number at once', async () => {
  const count = LIMITS.remindersAhead + 3_000;
  const asked: number[] = [];
  const { wakingReminders } = stage.store;
  stage.store.wakingReminders = async (query) => {
    asked.push(stage.clock.now());
    return wakingReminders.call(stage.store, query);
  };
  for (let n = 0; n < count; n++) await stage.store.setReminder(stage.reminder(`${n}`, START));
  stage.answersAtOnce = false;
  stage.begin();
  await stage.pass(1_000);
  expect(stage.made).toHaveLength(LIMITS.reminderTicks);
  const pages = asked.length;
  expect(pages).toBeLessThanOrEqual(LIMITS.remindersAhead / LIMITS.reminderPage + 1);
  stage.answersAtOnce = true;
  stage.answer();
  while (stage.made.length < count) await stage.pass(0);
  expect(new Set(stage.made).size).toBe(count);
  expect(stage.mostUnderWay).toBe(LIMITS.reminderTicks);
  expect(stage.clock.now() - START).toBeLessThan(4_000); // not only every five seconds, when it reads anyway
}, 20_000);

test('what is told of beyond what a silo keeps stays in the store until there is room', async () => {
  const count = LIMITS.remindersAhead + 500;
  for (let n = 0; n < count; n++) {
    const reminder = stage.reminder(`${n}`, START + 2_000);
    await stage.store.setReminder(reminder);
    stage.reminders.set(reminder);
  }
  expect(stage.reminders.ahead).toBe(LIMITS.remindersAhead);
  while (stage.made.length < count) await stage.pass(100);
  expect(new Set(stage.made).size).toBe(count);
}, 20_000);

test('of more reminders that repeat than a silo keeps none starves', async () => {
  const count = LIMITS.remindersAhead + 2_000;
  for (let n = 0; n < count; n++) {
    const reminder = stage.reminder(`${n}`, START + (n % 100) * 100);
    await stage.store.setReminder({ ...reminder, schedule: '{"periodMs":10000,"missed":"once"}' });
  }
  stage.begin();
  await stage.pass(11_000);
  expect(new Set(stage.made).size).toBe(count);
  await stage.pass(20_000);
  const ticks = new Map<string, number>();
  for (const key of stage.made) ticks.set(key, (ticks.get(key) ?? 0) + 1);
  expect(Math.min(...ticks.values())).toBeGreaterThanOrEqual(3);
  expect(stage.reminders.ahead).toBeLessThanOrEqual(LIMITS.remindersAhead);
}, 20_000);

test('what is set for soon is on time, also when a silo keeps as many as it may for later', async () => {
  for (let n = 0; n < LIMITS.remindersAhead + 2_000; n++) {
    await stage.store.setReminder(stage.reminder(`${n}`, START + 10_000));
  }
  stage.begin();
  await stage.pass(500);
  const near = stage.reminder('near', START + 1_500);
  await stage.store.setReminder(near);
  stage.reminders.set(near);
  await stage.pass(1_500);
  expect(stage.made).toEqual(['near']);
}, 20_000);

test('what nobody told this silo of is found when the store is read next', async () => {
  stage.begin();
  await stage.pass(100);
  await stage.store.setReminder(stage.reminder('unheard', START + 500));
  await stage.pass(5_000);
  expect(stage.made).toEqual(['unheard']);
});

test('where no class of the cluster has reminders the store is not read', async () => {
  await stage.store.setReminder(stage.reminder('x', START));
  stage.inUse = false;
  stage.begin();
  await stage.pass(6_000);
  expect(stage.made).toEqual([]);
  expect(stage.clock.timers).toBe(0);
  stage.inUse = true; // a silo has joined that has one
  stage.begin();
  await stage.pass(100);
  expect(stage.made).toEqual(['x']);
});

test('a tick is due by the clock: a moment before it is not made, and not on another silo', async () => {
  stage.reminders.set(stage.reminder('x', START + 950));
  stage.reminders.set(stage.reminder('y', START + 2_000));
  await stage.pass(900);
  expect(stage.made).toEqual([]);
  await stage.pass(0);
  await stage.pass(100);
  expect(stage.made).toEqual(['x']);
  stage.primary = 'another';
  await stage.pass(2_000);
  expect(stage.made).toEqual(['x']);
});

test('while a partition is being taken over its ticks wait', async () => {
  stage.isOpen = false;
  stage.reminders.set(stage.reminder('x', START));
  await stage.pass(1_000);
  expect(stage.made).toEqual([]);
  stage.isOpen = true;
  await stage.pass(200);
  expect(stage.made).toEqual(['x']);
});

test('a tick whose end the store could not be told of is not made again by the same silo', async () => {
  const reminder = stage.reminder('x', START);
  await stage.store.setReminder(reminder);
  const { advanceReminder } = stage.store;
  let failures = 3;
  stage.store.advanceReminder = async (...args) => {
    if (failures-- > 0) throw new StoreError('away');
    return advanceReminder.apply(stage.store, args);
  };
  stage.begin();
  await stage.pass(10_000);
  expect(stage.made).toEqual(['x']);
  expect(stage.told.filter((type) => type === 'reminderStoreFailed')).toHaveLength(3);
  expect(await stage.store.readReminder(reminder)).toBeUndefined();
});

test('a reminder that is set anew while its tick is under way is not forgotten over that', async () => {
  stage.answersAtOnce = false;
  stage.reminders.set(stage.reminder('x', START));
  await stage.pass(0);
  stage.reminders.set({ ...stage.reminder('x', START + 500), registration: 'new' });
  await stage.pass(600);
  expect(stage.made).toEqual(['x']);
  stage.answer();
  await stage.pass(100);
  expect(stage.made).toEqual(['x', 'x']);
});

test('what is gone is dropped, and nothing begins once it is to finish', async () => {
  const reminder = stage.reminder('x', START + 500);
  stage.reminders.set(reminder);
  stage.reminders.gone(reminder);
  stage.reminders.set(stage.reminder('y', START + 500));
  stage.answersAtOnce = false;
  await stage.pass(600);
  expect(stage.made).toEqual(['y']);
  stage.reminders.set(stage.reminder('z', START));
  let finished = false;
  const finishing = stage.reminders.finish().then(() => {
    finished = true;
  });
  await stage.pass(300);
  expect(finished).toBe(false);
  stage.answer();
  await finishing;
  await stage.pass(300);
  expect(stage.made).toEqual(['y']);
  expect(stage.clock.timers).toBe(0);
});
