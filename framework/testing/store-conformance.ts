import assert from 'node:assert/strict';
import { StateConflictError } from '../errors.ts';
import { canonicalKey } from '../identity/grain-id.ts';
import type { GrainStore, RecordId, StoredRecord } from '../storage/grain-store.ts';
import { systemRandom } from '../system/random.ts';

/**
 * What every store must do, as cases for any test runner. A store of your own passes when all of them pass:
 *
 *     describeStore('my store', () => myStore(url), { describe, test });
 */
export interface StoreConformanceCase {
  readonly name: string;
  /** Rejects when the store does not behave. Opens what it needs and closes it again. */
  run(factory: StoreFactory): Promise<void>;
}

/**
 * Makes a store that is not open, on the same records every time, as each silo of a cluster does: a new
 * object on the same database, or, for a store that lives in this process, the same object again. The records
 * may be left from earlier runs: every case uses names of its own.
 */
export type StoreFactory = () => GrainStore | Promise<GrainStore>;

export interface StoreConformanceOptions {
  /** Whether records outlast the last `close`; true by default. */
  readonly durable?: boolean;
}

/**
 * The part of a test runner that the cases need; `describe` and `test` of vitest, Jest, Mocha (`it`) and
 * node:test fit.
 */
export interface TestFunctions {
  describe(name: string, body: () => void): unknown;
  test(name: string, body: () => Promise<void>): unknown;
}

/** Declares every case as a test. */
export function describeStore(
  name: string,
  factory: StoreFactory,
  { describe, test, ...options }: TestFunctions & StoreConformanceOptions,
): void {
  describe(name, () => {
    for (const { name: behaviour, run } of storeConformance(options)) test(behaviour, () => run(factory));
  });
}

/** The cases that apply to the store. */
export function storeConformance({ durable = true }: StoreConformanceOptions = {}): StoreConformanceCase[] {
  const tables = [CASES, CONCURRENT_CASES, durable ? DURABLE_CASES : {}];
  return tables
    .flatMap((table) => Object.entries(table))
    .map(([name, body]) => ({ name, run: (factory) => withStores(factory, body) }));
}

interface Fixture {
  /** Two stores on the same records, both open. */
  readonly store: GrainStore;
  readonly other: GrainStore;
  readonly factory: StoreFactory;
  /** A record that no other case, and no earlier run, has used. */
  fresh(parts?: Partial<RecordId>): RecordId;
}

type Body = (fixture: Fixture) => Promise<void>;

async function withStores(factory: StoreFactory, body: Body): Promise<void> {
  const [store, other] = [await factory(), await factory()];
  await Promise.all([store.open(), other.open()]);
  // Not a fixed name: the records of a durable store outlive the run.
  const run = systemRandom.id();
  let last = 0;
  const fresh = (parts: Partial<RecordId> = {}) => ({
    type: 'Conformance',
    key: `${run}-${++last}`,
    name: 'state',
    ...parts,
  });
  try {
    await body({ store, other, factory, fresh });
  } finally {
    await Promise.all([store.close(), other.close()]);
  }
}

const CASES: Record<string, Body> = {
  'reads undefined where there is no record': async ({ store, fresh }) => {
    assert.equal(await store.read(fresh()), undefined);
  },

  'reads what was written, byte by byte, with the etag that the write returned': async ({
    store,
    other,
    fresh,
  }) => {
    const everyByte = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const large = Uint8Array.from({ length: 1024 * 1024 }, (_, at) => (at * 31 + (at >> 8)) & 255);
    for (const data of [
      new Uint8Array(0),
      new Uint8Array([0]),
      everyByte,
      Buffer.from('{"\\x00",NULL}'),
      large,
    ]) {
      const id = fresh();
      const etag = await store.write(id, data, undefined);
      assert.equal(typeof etag, 'string');
      for (const reader of [store, other]) assertRecord(await reader.read(id), data, etag);
    }
  },

  'writes without an etag only where there is no record': async ({ store, fresh }) => {
    const id = fresh();
    const etag = await store.write(id, bytes(1), undefined);
    await assertConflict(store.write(id, bytes(2), undefined));
    assertRecord(await store.read(id), bytes(1), etag);
  },

  'writes with an etag only over that very record, else leaves it as it is': async ({
    store,
    other,
    fresh,
  }) => {
    const [id, missing] = [fresh(), fresh()];
    const first = await store.write(id, bytes(1), undefined);
    const second = await other.write(id, bytes(2), first);
    for (const wrong of [first, 'nobody gave this etag', '', '0', '-1', `${second}0`, ` ${second}`]) {
      await assertConflict(store.write(id, bytes(3), wrong));
      await assertConflict(store.write(missing, bytes(3), wrong));
    }
    assertRecord(await store.read(id), bytes(2), second);
    assert.equal(await store.read(missing), undefined);
  },

  'gives a new etag with every write, also of an equal value': async ({ store, fresh }) => {
    const id = fresh();
    const etags = [await store.write(id, bytes(1), undefined)];
    for (let round = 0; round < 20; round++) etags.push(await store.write(id, bytes(1), etags.at(-1)));
    assert.equal(new Set(etags).size, etags.length);
  },

  'sees that a value went from A to B and back to A': async ({ store, other, fresh }) => {
    const id = fresh();
    const seen = await store.write(id, bytes(1), undefined);
    await other.write(id, bytes(1), await other.write(id, bytes(2), seen));
    await assertConflict(store.write(id, bytes(3), seen));
  },

  'never gives the etag of a record again that was cleared and written anew': async ({ store, fresh }) => {
    const id = fresh();
    const etags = new Set<string>();
    for (let round = 1; round <= 5; round++) {
      const etag = await store.write(id, bytes(1), undefined);
      etags.add(etag);
      assert.equal(etags.size, round);
      await store.clear(id, etag);
      for (const old of etags) await assertConflict(store.write(id, bytes(2), old));
    }
  },

  'clears only the record that was read': async ({ store, other, fresh }) => {
    const id = fresh();
    const first = await store.write(id, bytes(1), undefined);
    const second = await other.write(id, bytes(2), first);
    for (const wrong of [first, 'nobody gave this etag', undefined])
      await assertConflict(store.clear(id, wrong));
    assertRecord(await store.read(id), bytes(2), second);
    await store.clear(id, second);
    assert.equal(await other.read(id), undefined);
    await assertConflict(store.clear(id, second));
    await store.clear(id, undefined);
  },

  'takes a record that was cleared as one that does not exist': async ({ store, other, fresh }) => {
    const id = fresh();
    const old = await store.write(id, bytes(1), undefined);
    await store.clear(id, old);
    await assertConflict(other.write(id, bytes(2), old));
    const etag = await other.write(id, bytes(3), undefined);
    assertRecord(await store.read(id), bytes(3), etag);
  },

  'keeps types, keys and names apart': async ({ store, fresh }) => {
    const key = fresh().key;
    const ids = [
      { type: 'A', key, name: 'state' },
      { type: 'B', key, name: 'state' },
      { type: 'a', key, name: 'state' },
      { type: 'A', key, name: 'profile' },
      { type: 'A', key: `${key}x`, name: 'state' },
      { type: 'A', key: `${key} `, name: 'state' },
      { type: 'A', key, name: 'xstate' },
      { type: `A${key}`, key: key, name: 'state' },
    ];
    const etags = await Promise.all(ids.map((id, index) => store.write(id, bytes(index), undefined)));
    for (const [index, id] of ids.entries()) assertRecord(await store.read(id), bytes(index), etags[index]);
    await store.clear(ids[0] as RecordId, etags[0]);
    for (const [index, id] of ids.entries()) {
      assert.equal(
        (await store.read(id)) === undefined,
        index === 0,
        `clearing ${idText(ids[0])} touched ${idText(id)}`,
      );
    }
  },

  'takes any key that a grain can have': async ({ store, other, fresh }) => {
    const ids = KEYS.map((key) => fresh({ type: `Keys_${fresh().key}`, key: canonicalKey('Keys', key) }));
    // The longest that a grain may have in every part.
    ids.push(
      fresh({
        type: `T${fresh().key}`.padEnd(128, 't'),
        key: canonicalKey('T', '%'.repeat(512)),
        name: 'n'.repeat(128),
      }),
    );
    const etags = await Promise.all(ids.map((id, index) => store.write(id, bytes(index), undefined)));
    for (const [index, id] of ids.entries())
      assertRecord(await other.read(id), bytes(index), etags[index], id);
    const later = await Promise.all(ids.map((id, index) => other.write(id, bytes(index, 1), etags[index])));
    for (const [index, id] of ids.entries())
      assertRecord(await store.read(id), bytes(index, 1), later[index], id);
    await Promise.all(ids.map((id, index) => store.clear(id, later[index])));
  },

  'keeps its own bytes: neither a writer nor a reader shares them': async ({ store, fresh }) => {
    const [id, data] = [fresh(), Uint8Array.from([1, 2, 3])];
    const writing = store.write(id, data, undefined);
    data.fill(9);
    const etag = await writing;
    data.fill(8);
    (await store.read(id))?.data.fill(7);
    assertRecord(await store.read(id), bytes(1, 2, 3), etag);
  },

  'may be opened twice, and closes with the last one that opened it': async ({ store, fresh }) => {
    const id = fresh();
    await store.open();
    const etag = await store.write(id, bytes(1), undefined);
    await store.close();
    assertRecord(await store.read(id), bytes(1), etag);
  },

  'finishes what is under way before it closes': async ({ factory, store, fresh }) => {
    const ids = Array.from({ length: 50 }, () => fresh());
    const closing = await factory();
    await closing.open();
    const writes = ids.map((id) => closing.write(id, bytes(1), undefined));
    await closing.close();
    const etags = await Promise.all(writes);
    for (const [index, id] of ids.entries()) assertRecord(await store.read(id), bytes(1), etags[index]);
  },
};

const CONCURRENT_CASES: Record<string, Body> = {
  'lets exactly one of many writers of one record win': async ({ store, other, fresh }) => {
    const id = fresh();
    let etag: string | undefined;
    for (let round = 0; round < 5; round++) {
      const writers = Array.from({ length: 200 }, (_, writer) => writer);
      const results = await Promise.allSettled(
        writers.map((writer) => (writer % 2 ? store : other).write(id, bytes(round, writer), etag)),
      );
      const winners = writers.filter((writer) => results[writer]?.status === 'fulfilled');
      assert.equal(winners.length, 1, `${winners.length} of 200 writers won in round ${round}`);
      for (const result of results) if (result.status === 'rejected') assertIsConflict(result.reason);
      etag = (results[winners[0] as number] as PromiseFulfilledResult<string>).value;
      assertRecord(await store.read(id), bytes(round, winners[0] as number), etag);
    }
  },

  'lands every one of many writes of different records': async ({ store, other, fresh }) => {
    const ids = Array.from({ length: 2_500 }, () => fresh());
    const writeAll = (value: number, etags: readonly (string | undefined)[]) =>
      Promise.all(
        ids.map((id, index) =>
          (index % 2 ? store : other).write(id, bytes(value, index & 255, index >> 8), etags[index]),
        ),
      );
    const etags = await writeAll(2, await writeAll(1, []));
    const records = await Promise.all(ids.map((id, index) => (index % 3 ? store : other).read(id)));
    for (const [index, record] of records.entries())
      assertRecord(record, bytes(2, index & 255, index >> 8), etags[index]);
  },

  'gives each of many mixed operations of one tick its own result': async ({ store, fresh }) => {
    const present = await Promise.all(
      Array.from({ length: 120 }, async () => {
        const id = fresh();
        return { id, etag: await store.write(id, bytes(1), undefined) };
      }),
    );
    const kinds = ['update', 'wrong etag', 'exists', 'insert', 'clear', 'read'] as const;
    const kindAt = (index: number) => kinds[index % kinds.length];
    const start = ({ id, etag }: { id: RecordId; etag: string }, index: number): Promise<unknown> => {
      switch (kindAt(index)) {
        case 'update':
          return store.write(id, bytes(2), etag);
        case 'wrong etag':
          return store.write(id, bytes(2), `${etag}1`);
        case 'exists':
          return store.write(id, bytes(2), undefined);
        case 'insert':
          return store.write(fresh(), bytes(2), undefined);
        case 'clear':
          return store.clear(id, etag);
        default:
          return store.read(id);
      }
    };
    const results = await Promise.allSettled(present.map(start));
    for (const [index, { id, etag }] of present.entries()) {
      const [kind, result, record] = [
        kindAt(index),
        results[index] as PromiseSettledResult<unknown>,
        await store.read(id),
      ];
      const refused = kind === 'wrong etag' || kind === 'exists';
      if (result.status === 'rejected') assertIsConflict(result.reason);
      assert.equal(result.status, refused ? 'rejected' : 'fulfilled', `${kind} was ${result.status}`);
      if (kind === 'clear') assert.equal(record, undefined);
      else if (kind === 'update')
        assertRecord(record, bytes(2), (result as PromiseFulfilledResult<string>).value);
      else assertRecord(record, bytes(1), etag);
      if (kind === 'read')
        assertRecord((result as PromiseFulfilledResult<StoredRecord>).value, bytes(1), etag);
    }
  },

  'never brings a cleared record back: of a write and a clear at once, one wins': async ({
    store,
    other,
    fresh,
  }) => {
    for (let round = 0; round < 40; round++) {
      const id = fresh();
      const etag = await store.write(id, bytes(1), undefined);
      const [written, cleared] = await Promise.allSettled([
        store.write(id, bytes(2), etag),
        other.clear(id, etag),
      ]);
      assert.notEqual(
        written.status,
        cleared.status,
        'both, or neither, of a write and a clear with one etag succeeded',
      );
      assert.equal((await store.read(id)) === undefined, cleared.status === 'fulfilled');
    }
  },

  'opens from several silos at once': async ({ factory, fresh }) => {
    const stores = await Promise.all(Array.from({ length: 6 }, factory));
    await Promise.all(stores.map((store) => store.open()));
    const id = fresh();
    const etag = await stores[0]?.write(id, bytes(1), undefined);
    for (const store of stores) assertRecord(await store.read(id), bytes(1), etag);
    await Promise.all(stores.map((store) => store.close()));
  },
};

const DURABLE_CASES: Record<string, Body> = {
  'still has what was acknowledged after it was closed and opened again': async ({ store, other, fresh }) => {
    const id = fresh();
    const etag = await store.write(id, bytes(1), undefined);
    await Promise.all([store.close(), other.close()]);
    await Promise.all([store.open(), other.open()]);
    assertRecord(await store.read(id), bytes(1), etag);
    assert.notEqual(await other.write(id, bytes(1), etag), etag);
  },
};

const KEYS: readonly (string | readonly (string | number)[])[] = [
  'a.b.c',
  ' spaces  inside ',
  'o\'clock "quoted"',
  'back\\slash',
  '{curly},NULL',
  '*',
  '>',
  '$1',
  '%',
  '100%',
  'a/b',
  ['a', 'b'],
  ['a/b'],
  [1, 'x', 2],
  '\u0000',
  '\n\t\u007f',
  'é',
  'e\u0301',
  'ß',
  'SS',
  'Straße',
  '日本語',
  '👩‍👩‍👧',
  '\ufeff',
  '\uffff',
  'NULL',
  'null',
  '0',
  '00',
  'constructor',
  '__proto__',
  'x'.repeat(512),
  `${'x'.repeat(511)}y`,
  '日'.repeat(170),
  '😀'.repeat(128),
  '/'.repeat(512),
];

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

function assertRecord(
  record: StoredRecord | undefined,
  data: Uint8Array,
  etag: string | undefined,
  id?: RecordId,
): void {
  assert.ok(record, `there is no record${id ? ` ${idText(id)}` : ''}`);
  assert.ok(record.data instanceof Uint8Array, 'the data is not a Uint8Array');
  assert.equal(
    Buffer.compare(record.data, data),
    0,
    `the data${id ? ` of ${idText(id)}` : ''} is not what was written`,
  );
  assert.equal(record.etag, etag);
}

async function assertConflict(operation: Promise<unknown>): Promise<void> {
  assertIsConflict(
    await operation.then(
      () => assert.fail('it succeeded where it had to conflict'),
      (error: unknown) => error,
    ),
  );
}

function assertIsConflict(error: unknown): void {
  if (!(error instanceof StateConflictError)) throw error;
  assert.equal(error.code, 'STATE_CONFLICT');
  assert.match(error.grain ?? '', /^[^/]+\/./, 'the error does not name the grain as Type/key');
}

function idText(id: RecordId | undefined): string {
  return JSON.stringify(id);
}
