import {
  Grain,
  grain,
  memory,
  method,
  type Reminder,
  type ReminderTick,
  type RemindOptions,
  type RuntimeEvent,
  reminder,
  Silo,
} from 'granary';
import { type SimulatedCluster, type SimulateOptions, simulate } from 'granary/testing';
import { afterEach, expect, test } from 'vitest';

interface Ticked extends ReminderTick {
  readonly key: string;
  readonly lateMs: number;
  readonly silo: string;
}

let ticked: Ticked[] = [];
/** How often each key's tick is to fail, and how long it takes. */
const failing = new Map<string, number>();
const lasting = new Map<string, number>();
afterEach(() => {
  ticked = [];
  failing.clear();
  lasting.clear();
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

@grain({ idleMs: 200 })
class Alarm extends Grain {
  @method()
  async set(options: RemindOptions): Promise<Reminder> {
    return this.context.remind('ring', options);
  }

  @method()
  async list(): Promise<readonly Reminder[]> {
    return this.context.reminders();
  }

  @method()
  async forget(name = 'ring'): Promise<boolean> {
    return this.context.forget(name);
  }

  /** Holds ticks up that are due meanwhile. */
  @method()
  async forgetAfter(ms: number): Promise<boolean> {
    await pause(ms);
    return this.context.forget('ring');
  }

  @method()
  async setOther(name: string): Promise<Reminder> {
    return this.context.remind(name, { dueMs: 1 });
  }

  @reminder('ring')
  async onRing({ name, scheduledAt, missed }: ReminderTick): Promise<void> {
    const failures = failing.get(this.key) ?? 0;
    failing.set(this.key, failures - 1);
    if (failures > 0) throw new Error('out of order');
    const { silo } = this.context;
    ticked.push({ key: this.key, name, scheduledAt, missed, lateMs: this.context.now() - scheduledAt, silo });
    await pause(lasting.get(this.key) ?? 0);
  }

  @reminder()
  async weekly(): Promise<void> {}
}

/** Asks for its reminder whenever it becomes active, and ends in each tick. */
@grain()
class Heartbeat extends Grain {
  override async onActivate(): Promise<void> {
    await this.context.remind('beat', { periodMs: 2_000 });
  }

  @method()
  async wake(): Promise<void> {}

  @reminder()
  async beat({ name, scheduledAt, missed }: ReminderTick): Promise<void> {
    ticked.push({ key: this.key, name, scheduledAt, missed, lateMs: 0, silo: '' });
    this.context.deactivate();
  }
}

/** Sets its reminder anew in each tick, three times. */
@grain()
class Fuse extends Grain {
  @method()
  async light(): Promise<void> {
    await this.context.remind('burn', { dueMs: 1_000 });
  }

  @reminder()
  async burn(tick: ReminderTick): Promise<void> {
    ticked.push({ key: this.key, ...tick, lateMs: 0, silo: '' });
    if (ticked.length < 3) await this.light();
  }
}

const story = (
  tell: (cluster: SimulatedCluster, events: RuntimeEvent[]) => Promise<void>,
  options: Partial<SimulateOptions> = {},
) =>
  simulate(
    { seed: 1, silos: 3, grains: [Alarm, Heartbeat, Fuse], options: { partitions: 16 }, ...options },
    (cluster) => {
      const events: RuntimeEvent[] = [];
      cluster.subscribe((_, event) => event.type.startsWith('reminder') && events.push(event));
      return tell(cluster, events);
    },
  );

const keys = (count: number) => Array.from({ length: count }, (_, key) => key);
/** Due times of one key's ticks, from the first of them on. */
const rhythm = (key: string) => {
  const mine = ticked.filter((tick) => tick.key === key);
  return mine.map(({ scheduledAt }) => scheduledAt - (mine[0]?.scheduledAt ?? 0));
};

test('a tick comes in time, on whatever silo, to a grain that is active nowhere', () =>
  story(async (cluster) => {
    const set = await Promise.all(keys(30).map((key) => cluster.grain(Alarm, key).set({ dueMs: 20_000 })));
    await cluster.sleep(10_000);
    expect(keys(30).flatMap((key) => cluster.activationsOf(Alarm, key))).toEqual([]);
    await cluster.sleep(10_100);
    expect(ticked).toHaveLength(30);
    for (const { key, name, missed, lateMs, scheduledAt } of ticked) {
      expect({ name, missed, scheduledAt }).toEqual({
        name: 'ring',
        missed: 0,
        scheduledAt: set[Number(key)]?.nextAt,
      });
      expect(lateMs).toBeLessThan(50);
    }
    expect(new Set(ticked.map(({ silo }) => silo)).size).toBe(3);
    expect(await cluster.grain(Alarm, 0).list()).toEqual([]);
  }));

test('what is set on one silo and owned by another is known there at once', () =>
  story(async (cluster) => {
    for (const key of keys(30)) await cluster.silo('a').grain(Alarm, key).set({ dueMs: 0 });
    await cluster.sleep(50);
    expect(ticked).toHaveLength(30);
  }));

test('a period is counted from when a tick was due, not from when it came or ended', () =>
  story(async (cluster) => {
    lasting.set('x', 700);
    await cluster.grain(Alarm, 'x').set({ periodMs: 1_000 });
    await cluster.sleep(20_500);
    expect(rhythm('x')).toEqual(keys(20).map((count) => count * 1_000));
  }));

test('a tick that takes longer than the period holds others up, which the next one stands for', () =>
  story(async (cluster) => {
    lasting.set('x', 2_500);
    await cluster.grain(Alarm, 'x').set({ periodMs: 1_000 });
    await cluster.sleep(12_000);
    expect(rhythm('x').slice(0, 4)).toEqual([0, 1_000, 3_000, 6_000]);
    expect(ticked.slice(0, 4).map(({ missed }) => missed)).toEqual([0, 1, 2, 1]);
  }));

test('a reminder is listed, replaced, and forgotten', () =>
  story(async (cluster) => {
    const alarm = cluster.grain(Alarm, 'x');
    const options = { cron: '0 9 * * *', timezone: 'Europe/Berlin', missed: 'skip' } as const;
    const set = await alarm.set(options);
    expect(await alarm.list()).toEqual([set]);
    expect(set).toEqual({
      name: 'ring',
      nextAt: Date.parse('2030-01-01T08:00:00Z'),
      periodMs: undefined,
      ...options,
    });
    const other = await alarm.set({ periodMs: 60_000 });
    expect(await alarm.list()).toEqual([other]);
    expect(await alarm.forget()).toBe(true);
    expect(await alarm.forget()).toBe(false);
    expect(await alarm.list()).toEqual([]);
    await cluster.sleep(61_000);
    expect(ticked).toEqual([]);
  }));

test('a tick that waits for its turn does not begin when the turn before it forgets the reminder', () =>
  story(async (cluster) => {
    await Promise.all(keys(10).map((key) => cluster.grain(Alarm, key).set({ dueMs: 500 })));
    const forgotten = await Promise.all(keys(10).map((key) => cluster.grain(Alarm, key).forgetAfter(1_000)));
    expect(forgotten).toEqual(keys(10).map(() => true));
    await cluster.sleep(10_000);
    expect(ticked).toEqual([]);
  }));

test('a tick that is under way does not bring a reminder back, nor undo that it is set anew', () =>
  story(async (cluster) => {
    await cluster.grain(Fuse, 'x').light();
    await cluster.sleep(10_000);
    expect(rhythm('x')[2]).toBeGreaterThan(2_000);
    expect(ticked).toHaveLength(3);
  }));

test('onActivate may ask for a reminder each time: one that repeats is left as it is', () =>
  story(async (cluster) => {
    await cluster.grain(Heartbeat, 'x').wake();
    await cluster.sleep(10_500);
    expect(rhythm('x')).toEqual([0, 2_000, 4_000, 6_000, 8_000]);
  }));

test('a tick that fails is made again, the same one, and given up after eight failures', () =>
  story(async (cluster, events) => {
    failing.set('twice', 2);
    failing.set('always', 8);
    await cluster.grain(Alarm, 'twice').set({ dueMs: 0 });
    const { nextAt } = await cluster.grain(Alarm, 'always').set({ periodMs: 100_000, dueMs: 0 });
    await cluster.sleep(10_000);
    expect(ticked).toMatchObject([{ key: 'twice', missed: 0 }]);
    await cluster.sleep(200_000);
    const failures = events.flatMap((event) => (event.type === 'reminderFailed' ? [event] : []));
    const always = failures.filter(({ grain }) => grain === 'Alarm/always');
    expect(always.map((event) => event.failures)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(always.map(({ retryInMs }) => retryInMs === undefined).indexOf(true)).toBe(7);
    expect(always.every(({ scheduledAt }) => scheduledAt === nextAt)).toBe(true);
    expect(String(always[0]?.error)).toContain('out of order');
    // It goes on with the next.
    const next = ticked.filter(({ key }) => key === 'always')[0]?.scheduledAt ?? 0;
    expect((next - nextAt) % 100_000).toBe(0);
    expect(next).toBeGreaterThan(nextAt);
  }));

test('failures of the cluster do not count: a tick outlasts a store that is away for minutes', () =>
  story(async (cluster, events) => {
    await Promise.all(keys(5).map((key) => cluster.grain(Alarm, key).set({ dueMs: 5_000 })));
    cluster.setStores({ errors: 1 });
    await cluster.sleep(400_000);
    expect(ticked).toEqual([]);
    expect(new Set(events.map(({ type }) => type))).toContain('reminderStoreFailed');
    cluster.setStores({ errors: 0 });
    await cluster.sleep(30_000);
    expect(new Set(ticked.map(({ key }) => key)).size).toBe(5);
  }));

test('an old answer of the store is no answer: a tick waits until the store is quick enough', () =>
  story(async (cluster, events) => {
    await cluster.grain(Alarm, 'x').set({ dueMs: 5_000 });
    await cluster.sleep(4_000);
    cluster.setStores({ latencyMs: 2_500 });
    await cluster.sleep(40_000);
    expect(ticked).toEqual([]);
    const slow = {
      type: 'reminderFailed',
      failures: 0,
      error: expect.objectContaining({ code: 'STORE_FAILED' }),
    };
    expect(events).toContainEqual(expect.objectContaining(slow));
    cluster.setStores({ latencyMs: 0.5 });
    await cluster.sleep(40_000);
    expect(ticked).toHaveLength(1);
  }));

test('what was due while no silo ran is made up for as asked', () =>
  story(async (cluster, events) => {
    const missed = ['once', 'all', 'skip'] as const;
    for (const policy of missed) await cluster.grain(Alarm, policy).set({ periodMs: 10_000, missed: policy });
    await cluster.sleep(15_000);
    for (const name of [...cluster.names]) await cluster.stop(name);
    ticked = [];
    await cluster.sleep(100_000);
    await cluster.start('anew');
    await cluster.sleep(10_000);
    const times = (key: string) => ticked.filter((tick) => tick.key === key);
    const [first] = times('once');
    expect(first?.missed).toBe(9);
    expect(times('all').map(({ scheduledAt }) => scheduledAt)).toEqual(
      keys(times('all').length).map((count) => (times('all')[0]?.scheduledAt ?? 0) + count * 10_000),
    );
    expect(times('all').length).toBeGreaterThanOrEqual(10);
    expect(times('skip').every(({ lateMs }) => lateMs < 10_000)).toBe(true);
    expect(times('skip')).toHaveLength(1);
    expect(events).toContainEqual(expect.objectContaining({ type: 'reminderSkipped', grain: 'Alarm/skip' }));
  }));

test('when the silo that owns a reminder crashes, another makes its ticks within seconds', () =>
  story(async (cluster) => {
    for (const key of keys(30)) await cluster.grain(Alarm, key).set({ periodMs: 1_000 });
    await cluster.sleep(5_000);
    cluster.crash('b');
    const crashedAt = cluster.now;
    ticked = [];
    while (new Set(ticked.map(({ key }) => key)).size < 30) await cluster.sleep(50);
    expect(cluster.now - crashedAt).toBeLessThan(5_000);
  }));

test('while silos leave in order and join no tick is made twice', () =>
  story(async (cluster) => {
    for (const key of keys(30)) {
      lasting.set(String(key), 300);
      await cluster.grain(Alarm, key).set({ periodMs: 1_000 });
    }
    await cluster.sleep(5_050);
    await cluster.stop('b');
    await cluster.sleep(2_600);
    await cluster.start('d');
    await cluster.sleep(5_000);
    const made = ticked.map(({ key, scheduledAt }) => `${key} ${scheduledAt}`);
    expect(made.length).toBeGreaterThan(200);
    expect(new Set(made).size).toBe(made.length);
  }));

test('a silo that has not the class makes the ticks that it owns; a class that none has is waited for', () =>
  story(async (cluster, events) => {
    await cluster.start('other', { grains: [Heartbeat] });
    await cluster.settled();
    await Promise.all(keys(30).map((key) => cluster.grain(Alarm, key).set({ dueMs: 5_000 })));
    await cluster.sleep(5_500);
    expect(ticked).toHaveLength(30);
    await cluster.grain(Alarm, 'late').set({ dueMs: 20_000 });
    for (const name of ['a', 'b', 'c']) await cluster.stop(name);
    await cluster.sleep(300_000);
    expect(events.at(-1)).toMatchObject({ type: 'reminderFailed', error: { code: 'GRAIN_TYPE_NOT_FOUND' } });
    await cluster.start('a');
    await cluster.sleep(600_000);
    expect(ticked.at(-1)?.key).toBe('late');
  }));

test('a wall clock that is set makes ticks come when it says so, none of them early, and none hang', () =>
  story(
    async (cluster) => {
      const clock = cluster.grain(Alarm, 'x');
      await clock.set({ periodMs: 1_000 });
      await cluster.sleep(3_500);
      cluster.jumpClock('a', 3_600_000);
      await cluster.sleep(6_900);
      expect(ticked.at(-1)?.missed === 3_599 || ticked.some(({ missed }) => missed > 3_590)).toBe(true);
      const before = ticked.length;
      cluster.jumpClock('a', -5_000);
      await cluster.sleep(4_500);
      expect(ticked).toHaveLength(before);
      await cluster.sleep(3_000);
      expect(ticked.length).toBeGreaterThan(before);
      expect(ticked.every(({ lateMs }) => lateMs >= 0)).toBe(true);
    },
    { silos: 1 },
  ));

test('that a class has reminders is not taken for a class of its own', () =>
  story(async (cluster) => {
    const unknown = cluster.grain<Alarm>('Alram', 'x').set({ dueMs: 0 });
    await expect(unknown).rejects.toThrow('they take: Alarm, Fuse, Heartbeat.');
  }));

test('only the runtime can make a tick: as a method there is none, and a made-up registration is void', () =>
  story(async (cluster) => {
    const alarm = cluster.grain<Grain>('Alarm', 'x') as unknown as Record<string, unknown>;
    await (alarm.set as (options: RemindOptions) => Promise<void>)({ dueMs: 60_000 });
    expect(alarm['$remind.ring']).toBeUndefined();
    expect(alarm.$remind).toBeUndefined();
    await expect((alarm.onRing as () => Promise<void>)()).rejects.toMatchObject({ code: 'METHOD_NOT_FOUND' });
    expect(ticked).toEqual([]);
  }));

test('a reminder that the class does not have is refused, with those that there are', () =>
  story(async (cluster) => {
    const alarm = cluster.grain(Alarm, 'x');
    const message = "Alarm/x: there is no reminder 'rang'; there are: 'ring', 'weekly'";
    await expect(alarm.setOther('rang')).rejects.toMatchObject({ code: 'INVALID_CONFIG', message });
    await expect(alarm.forget('rang')).rejects.toMatchObject({ code: 'INVALID_CONFIG', message });
    await expect(alarm.set({})).rejects.toThrow("Alarm/x: remind('ring'): it says nothing of when");
  }));

test('without a store that keeps reminders, setting one says what to pass', async () => {
  const { open, read, write, clear, close } = memory();
  const bare = { open, read, write, clear, close };
  await using without = await Silo.start({ grains: [Alarm], stores: { default: bare } });
  await expect(without.grain(Alarm, 'x').set({ dueMs: 0 })).rejects.toMatchObject({
    code: 'INVALID_CONFIG',
    message: expect.stringContaining('Silo.start({ reminders: postgres({ url }) })'),
  });
  await using given = await Silo.start({ grains: [Alarm], stores: { default: bare }, reminders: memory() });
  expect((await given.grain(Alarm, 'x').set({ dueMs: 60_000 })).name).toBe('ring');
  const none = Silo.start({ grains: [Alarm], reminders: bare as never });
  await expect(none).rejects.toThrow('Silo.start: reminders is no ReminderStore');
});
