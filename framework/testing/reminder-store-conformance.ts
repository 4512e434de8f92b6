import assert from 'node:assert/strict';
import { canonicalKey, grainIdOf } from '../identity/grain-id.ts';
import { hash32 } from '../identity/hash.ts';
import { partitionBits, type ReminderStore, type StoredReminder } from '../storage/reminder-store.ts';
import { systemRandom } from '../system/random.ts';
import type { StoreConformanceOptions, TestFunctions } from './store-conformance.ts';

/**
 * Makes a store that is not open, on the same reminders every time, as each silo of a cluster does. They may
 * be left from earlier runs.
 */
export type ReminderStoreFactory = () => ReminderStore | Promise<ReminderStore>;

/** What every `ReminderStore` must do, as cases for any test runner. */
export interface ReminderStoreCase {
  readonly name: string;
  /** Rejects when the store does not behave. Opens what it needs and closes it again. */
  run(factory: ReminderStoreFactory): Promise<void>;
}

/** Declares every case as a test. */
export function describeReminderStore(
  name: string,
  factory: ReminderStoreFactory,
  { describe, test, ...options }: TestFunctions & StoreConformanceOptions,
): void {
  describe(name, () => {
    for (const { name: behaviour, run } of reminderStoreConformance(options))
      test(behaviour, () => run(factory));
  });
}

/** The cases that apply to the store. */
export function reminderStoreConformance({
  durable = true,
}: StoreConformanceOptions = {}): ReminderStoreCase[] {
  return [CASES, CONCURRENT_CASES, durable ? DURABLE_CASES : {}]
    .flatMap((table) => Object.entries(table))
    .map(([name, body]) => ({ name, run: (factory) => withStores(factory, body) }));
}

interface Fixture {
  /** Two stores on the same reminders, both open. */
  readonly store: ReminderStore;
  readonly other: ReminderStore;
  /** A reminder that no other case, and no earlier run, has used. */
  fresh(parts?: Partial<StoredReminder>): StoredReminder;
}

type Body = (fixture: Fixture) => Promise<void>;

async function withStores(factory: ReminderStoreFactory, body: Body): Promise<void> {
  const [store, other] = [await factory(), await factory()];
  await Promise.all([store.open(), other.open()]);
  const run = systemRandom.id();
  let last = 0;
  const fresh = (parts: Partial<StoredReminder> = {}) => {
    const { type = 'Conformance', key = `${run}-${++last}` } = parts;
    const times = { dueAt: 1_000, wakeAt: 1_000, failures: 0 };
    const names = { type, key, name: 'daily', hash: hash32(grainIdOf(type, key)) };
    return { ...names, registration: `${run}-${++last}`, ...times, schedule: '{"every":1000}', ...parts };
  };
  try {
    await body({ store, other, fresh });
  } finally {
    await Promise.all([store.close(), other.close()]);
  }
}

const tickOf = ({ registration, dueAt }: StoredReminder) => ({ registration, dueAt });

const CASES: Record<string, Body> = {
  'reads nothing where there is no reminder': async ({ store, fresh }) => {
    const reminder = fresh();
    assert.equal(await store.readReminder(reminder), undefined);
    assert.deepEqual(await store.remindersOf(reminder), []);
    assert.equal(await store.removeReminder(reminder), false);
    assert.equal(await store.advanceReminder(reminder, tickOf(reminder), undefined), false);
    assert.equal(await store.advanceReminder(reminder, tickOf(reminder), reminder), false);
    assert.equal(await store.readReminder(reminder), undefined);
  },

  'reads what was set, from every silo': async ({ store, other, fresh }) => {
    const reminder = fresh({ dueAt: 2 ** 45 + 1, wakeAt: 2 ** 46 + 1, failures: 7, hash: 0xffff_fffe });
    await store.setReminder(reminder);
    for (const reader of [store, other]) assert.deepEqual(await reader.readReminder(reminder), reminder);
  },

  'sets one in place of another of the same name': async ({ store, other, fresh }) => {
    const first = fresh();
    const { type, key } = first;
    const second = fresh({ type, key, dueAt: 5, wakeAt: 6, failures: 1, schedule: 'else' });
    await store.setReminder(first);
    await other.setReminder(second);
    assert.deepEqual(await store.readReminder(first), second);
    assert.deepEqual(await store.remindersOf(first), [second]);
  },

  'lists the reminders of one grain, by name, and of no other': async ({ store, fresh }) => {
    const { type, key } = fresh();
    const mine = ['a', 'b', 'é'].map((name) => fresh({ type, key, name }));
    const others = [fresh({ type: `${type}2`, key }), fresh({ type, key: `${key}2` })];
    for (const reminder of [...mine, ...others].reverse()) await store.setReminder(reminder);
    assert.deepEqual(await store.remindersOf({ type, key }), mine);
  },

  'advances the reminder from the very tick that is named': async ({ store, other, fresh }) => {
    const reminder = fresh();
    await store.setReminder(reminder);
    const next = { dueAt: 2_000, wakeAt: 2_500, failures: 3 };
    for (const wrong of [
      { ...tickOf(reminder), registration: 'another' },
      { ...tickOf(reminder), dueAt: 999 },
    ]) {
      assert.equal(await store.advanceReminder(reminder, wrong, next), false);
      assert.equal(await store.advanceReminder(reminder, wrong, undefined), false);
    }
    assert.deepEqual(await store.readReminder(reminder), reminder);
    assert.equal(await other.advanceReminder(reminder, tickOf(reminder), next), true);
    assert.equal(await store.advanceReminder(reminder, tickOf(reminder), { ...next, dueAt: 3_000 }), false);
    assert.deepEqual(await store.readReminder(reminder), { ...reminder, ...next });
  },

  'ends the reminder from the very tick that is named': async ({ store, other, fresh }) => {
    const reminder = fresh();
    await store.setReminder(reminder);
    assert.equal(await other.advanceReminder(reminder, tickOf(reminder), undefined), true);
    assert.equal(await store.readReminder(reminder), undefined);
    assert.equal(await store.advanceReminder(reminder, tickOf(reminder), undefined), false);
  },

  'does not bring back what was removed, nor touch what was set anew': async ({ store, other, fresh }) => {
    const first = fresh();
    const next = { dueAt: 2_000, wakeAt: 2_000, failures: 0 };
    await store.setReminder(first);
    assert.equal(await other.removeReminder(first), true);
    assert.equal(await store.advanceReminder(first, tickOf(first), next), false);
    assert.equal(await store.readReminder(first), undefined);
    const second = fresh({ type: first.type, key: first.key });
    await other.setReminder(second);
    assert.equal(await store.advanceReminder(first, tickOf(first), next), false);
    assert.equal(await store.advanceReminder(first, tickOf(first), undefined), false);
    assert.deepEqual(await store.readReminder(first), second);
  },

  'finds what wakes by a time, in order, page by page': async ({ store, other, fresh }) => {
    const { pages, all, mine } = await wakingSet(store, other, fresh);
    assert.deepEqual(
      all.map(({ registration }) => registration),
      mine.map(({ registration }) => registration),
    );
    assert.ok(pages.every((page) => page.length <= 7));
    assert.deepEqual(all, mine);
  },

  'takes any key that a grain can have': async ({ store, other, fresh }) => {
    const keys = [
      '\ufeff',
      '日本語',
      '{a},NULL',
      ['a', 'b'],
      'a b',
      "o'clock",
      '%',
      '😀'.repeat(128),
    ] as const;
    const reminders = keys.map((key) => {
      const { type, name } = fresh({ name: `\ufeffname ${String(key).slice(0, 20)}` });
      return fresh({ type: `${type}_${systemRandom.id()}`, key: canonicalKey(type, key), name });
    });
    await Promise.all(reminders.map((reminder) => store.setReminder(reminder)));
    for (const reminder of reminders) {
      assert.deepEqual(await other.readReminder(reminder), reminder);
      assert.deepEqual(await other.remindersOf(reminder), [reminder]);
      assert.equal(await other.advanceReminder(reminder, tickOf(reminder), undefined), true);
    }
  },
};

/** Sets some, of which every other is wanted, and reads them in pages of seven. */
async function wakingSet(store: ReminderStore, other: ReminderStore, fresh: Fixture['fresh']) {
  // Long ago and all within a second, so that what earlier runs have left is not among them.
  const from = -(Math.floor(systemRandom.next() * 2 ** 40) + 1) * 1_000;
  const partitions = 64;
  const reminders = Array.from({ length: 60 }, (_, index) =>
    fresh({ hash: (0x9e37_79b1 * index) >>> 0, wakeAt: from + (index % 20), dueAt: from }),
  );
  await Promise.all([...reminders, fresh({ wakeAt: from + 1_000 })].map((each) => store.setReminder(each)));
  const wanted = partitionBits(partitions, (partition) => partition % 2 === 1);
  const pages: StoredReminder[][] = [];
  let after: StoredReminder | undefined = fresh({ wakeAt: from - 1, registration: '' });
  while (after) {
    const query = { until: from + 19.5, after, partitions, wanted, limit: 7 };
    const page: StoredReminder[] = await other.wakingReminders(query);
    pages.push(page);
    after = page.at(-1);
  }
  const mine = reminders
    .filter(({ hash }) => hash % 2 === 1)
    .sort((a, b) => a.wakeAt - b.wakeAt || (a.registration < b.registration ? -1 : 1));
  return { pages, mine, all: pages.flat() };
}

const CONCURRENT_CASES: Record<string, Body> = {
  'lets exactly one of many who advance from one tick succeed': async ({ store, other, fresh }) => {
    const reminder = fresh();
    await store.setReminder(reminder);
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, at) => {
        const next = { dueAt: 2_000 + at, wakeAt: 2_000 + at, failures: at };
        return (at % 2 ? store : other).advanceReminder(reminder, tickOf(reminder), next);
      }),
    );
    assert.equal(results.filter(Boolean).length, 1);
    const dueAt = 2_000 + results.indexOf(true);
    assert.equal((await store.readReminder(reminder))?.dueAt, dueAt);
  },

  'of an advance and a removal at once, nothing is left': async ({ store, other, fresh }) => {
    const next = { dueAt: 2_000, wakeAt: 2_000, failures: 0 };
    for (let round = 0; round < 30; round++) {
      const reminder = fresh();
      await store.setReminder(reminder);
      const [, removed] = await Promise.all([
        store.advanceReminder(reminder, tickOf(reminder), next),
        other.removeReminder(reminder),
      ]);
      assert.equal(removed, true);
      assert.equal(await store.readReminder(reminder), undefined);
    }
  },

  'of an advance and a new setting at once, the new one stays': async ({ store, other, fresh }) => {
    const next = { dueAt: 2_000, wakeAt: 2_000, failures: 0 };
    for (let round = 0; round < 30; round++) {
      const first = fresh();
      const second = fresh({ type: first.type, key: first.key });
      await store.setReminder(first);
      await Promise.all([
        store.advanceReminder(first, tickOf(first), round % 2 ? next : undefined),
        other.setReminder(second),
      ]);
      assert.deepEqual(await store.readReminder(first), second);
    }
  },

  'gives each of many mixed operations of one tick its own result': async ({ store, fresh }) => {
    const reminders = Array.from({ length: 240 }, () => fresh());
    await Promise.all(reminders.map((reminder) => store.setReminder(reminder)));
    const next = { dueAt: 2_000, wakeAt: 2_000, failures: 0 };
    const results = await Promise.all(
      reminders.map((reminder, index): Promise<unknown> => {
        const tick = { ...tickOf(reminder), ...(index % 2 && { dueAt: 1 }) };
        if (index % 3 === 0) return store.advanceReminder(reminder, tick, next);
        return index % 3 === 1
          ? store.advanceReminder(reminder, tick, undefined)
          : store.removeReminder(reminder);
      }),
    );
    for (const [index, reminder] of reminders.entries()) {
      const succeeds = index % 3 === 2 || index % 2 === 0;
      assert.equal(results[index], succeeds);
      const kept = succeeds ? { ...reminder, ...next } : reminder;
      assert.deepEqual(await store.readReminder(reminder), index % 3 !== 0 && succeeds ? undefined : kept);
    }
  },

  'sets one reminder many times at once: one of these is left': async ({ store, fresh }) => {
    const { type, key } = fresh();
    const all = Array.from({ length: 40 }, () => fresh({ type, key }));
    await Promise.all(all.map((reminder) => store.setReminder(reminder)));
    const [left, ...more] = await store.remindersOf({ type, key });
    assert.deepEqual(more, []);
    assert.ok(all.some(({ registration }) => registration === left?.registration));
  },
};

const DURABLE_CASES: Record<string, Body> = {
  'still has what was set after it was closed and opened again': async ({ store, other, fresh }) => {
    const reminder = fresh();
    await store.setReminder(reminder);
    await Promise.all([store.close(), other.close()]);
    await Promise.all([store.open(), other.open()]);
    assert.deepEqual(await other.readReminder(reminder), reminder);
  },
};
