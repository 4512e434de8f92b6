import assert from 'node:assert/strict';
import { systemClock } from '../system/clock.ts';
import type { Cell, EventLog, EventLogSession, LoggedEvent, LogReader } from '../topics/event-log.ts';

/** A log to be tried, with a cluster name that nobody has used. */
export interface EventLogFixture {
  readonly log: EventLog;
  readonly cluster: string;
}

export interface EventLogCase {
  readonly name: string;
  run(session: EventLogSession, another: EventLogSession): Promise<void>;
}

/** Runs one case with two nodes of a cluster, and closes them. */
export async function runEventLogCase(
  { run }: EventLogCase,
  { log, cluster }: EventLogFixture,
): Promise<void> {
  const sessions: EventLogSession[] = [];
  try {
    for (let n = 0; n < 2; n++) sessions.push(await log.open({ cluster, clock: systemClock }));
    const [one, other] = sessions as [EventLogSession, EventLogSession];
    await run(one, other);
  } finally {
    for (const session of sessions) await session.close();
  }
}

const MUCH = 1024 * 1024;
const bytes = (text: string) => new TextEncoder().encode(text);
const textOf = ({ data }: { readonly data: Uint8Array }) => new TextDecoder().decode(data);
let ids = 0;

function append(session: EventLogSession, text: string, shard = 0, key = 'k'): Promise<number> {
  return session.append('orders', shard, { key, data: bytes(text), id: `conformance ${++ids}` });
}

/** The next `count` ones, however they come. */
async function take<Item>(reader: LogReader<Item>, count: number): Promise<Item[]> {
  const items: Item[] = [];
  while (items.length < count) items.push(...(await reader.next(count - items.length, MUCH)));
  return items;
}

/** What a log must do, whatever it is made of. */
export const eventLogConformance: readonly EventLogCase[] = [
  {
    name: 'a shard gives its events, and no others, in the order in which it took them',
    async run(session, another) {
      assert.ok((await session.shards('orders')) >= 2);
      const seqs = [await append(session, 'a'), await append(another, 'b'), await append(session, 'c')];
      await append(session, 'elsewhere', 1);
      assert.deepEqual(
        seqs,
        [...seqs].sort((a, b) => a - b),
      );
      const reader = another.read('orders', 0, 0);
      assert.equal(await reader.pending(), 3);
      const events: LoggedEvent[] = await take(reader, 3);
      assert.deepEqual(events.map(textOf), ['a', 'b', 'c']);
      assert.deepEqual(
        events.map(({ seq }) => seq),
        seqs,
      );
      assert.equal(await reader.pending(), 0);
      const rest = another.read('orders', 0, seqs[0] as number);
      assert.deepEqual((await take(rest, 2)).map(textOf), ['b', 'c']);
    },
  },
  {
    name: 'a reader gets no more than it asks for, and waits for what is not there yet',
    async run(session, another) {
      await session.shards('orders');
      for (const text of ['a', 'b', 'c']) await append(session, text);
      const reader = session.read('orders', 0, 0);
      assert.deepEqual((await reader.next(2, MUCH)).map(textOf).slice(0, 2), ['a', 'b']);
      assert.deepEqual((await reader.next(2, MUCH)).map(textOf), ['c']);
      const later = take(reader, 1);
      await append(another, 'd');
      assert.deepEqual((await later).map(textOf), ['d']);
    },
  },
  {
    name: 'bytes bound what a reader gets at once, but for one event',
    async run(session) {
      await session.shards('orders');
      const large = 'x'.repeat(50_000);
      for (let n = 0; n < 4; n++) await append(session, large);
      const reader = session.read('orders', 0, 0);
      let got = 0;
      while (got < 4) {
        const events = await reader.next(4, 120_000);
        assert.ok(events.length <= 2, `${events.length} events of 50 kB in 120 kB`);
        got += events.length;
      }
    },
  },
  {
    name: 'an event that is appended twice under one id is there once',
    async run(session, another) {
      await session.shards('orders');
      const event = { key: 'k', data: bytes('once'), id: 'twice / the same' };
      const seq = await session.append('orders', 0, event);
      assert.equal(await another.append('orders', 0, event), seq);
      assert.equal(await session.read('orders', 0, 0).pending(), 1);
    },
  },
  {
    name: 'the first event of a key after a number is found, and the last number of all',
    async run(session) {
      await session.shards('orders');
      assert.equal(await session.head('orders'), 0);
      const odd = 'a b.c/%*>'.repeat(60);
      const first = await append(session, '1', 0, odd);
      await append(session, '2', 0, 'other');
      const second = await append(session, '3', 0, odd);
      const found = await session.first('orders', 0, odd, 0);
      assert.deepEqual([found?.seq, found && textOf(found)], [first, '1']);
      assert.equal((await session.first('orders', 0, odd, first))?.seq, second);
      assert.equal(await session.first('orders', 0, odd, second), undefined);
      assert.equal(await session.head('orders'), second);
    },
  },
  {
    name: 'a time divides the events before it from those after it',
    async run(session) {
      await session.shards('orders');
      assert.equal(await session.headAt('orders', systemClock.wallNow()), 0);
      const before = await append(session, 'before');
      const [event] = await take(session.read('orders', 0, 0), 1);
      const at = (event as LoggedEvent).publishedAt + 2;
      while (systemClock.wallNow() <= at + 1)
        await new Promise((resolve) => systemClock.after(1, () => resolve(0)));
      const after = await append(session, 'after');
      assert.equal(await session.headAt('orders', at), before);
      assert.equal(await session.headAt('orders', 0), 0);
      assert.equal(await session.headAt('orders', at + 3_600_000), after);
    },
  },
  {
    name: 'a cell is written by who knows its revision, removed, and written anew',
    async run(session, another) {
      const name = ['position', 'orders', 'Long'.repeat(100), 'a/b.c %'];
      assert.equal(await session.cell(name), undefined);
      const first = await session.writeCell(name, bytes('1'), 0);
      assert.ok(first);
      assert.equal(await another.writeCell(name, bytes('x'), 0), undefined);
      const second = await another.writeCell(name, bytes('2'), first);
      assert.ok(second && second > first);
      assert.equal(await session.writeCell(name, bytes('x'), first), undefined);
      const cell = await session.cell(name);
      assert.deepEqual([cell && textOf(cell), cell?.revision], ['2', second]);
      assert.ok(await session.writeCell(name, undefined, second));
      assert.equal(await another.cell(name), undefined);
      assert.ok(await another.writeCell(name, bytes('3'), 0));
    },
  },
  {
    name: 'who watches cells is told of those there are, of each change, and of no others',
    async run(session, another) {
      const first = await session.writeCell(['watched', 'one'], bytes('1'), 0);
      await session.writeCell(['other', 'two'], bytes('2'), 0);
      const reader = another.watch(['watched']);
      const [one] = await take<Cell>(reader, 1);
      assert.deepEqual([one?.name, one && textOf(one)], [['watched', 'one'], '1']);
      await session.writeCell(['watched', 'a/b.c'], bytes('3'), 0);
      await session.writeCell(['watched', 'one'], undefined, first as number);
      const [added, removed] = await take<Cell>(reader, 2);
      assert.deepEqual([added?.name, added && textOf(added)], [['watched', 'a/b.c'], '3']);
      assert.deepEqual([removed?.name, removed?.data.length], [['watched', 'one'], 0]);
    },
  },
  {
    name: 'a reader that waits ends when it is closed, and all do with their session',
    async run(session, another) {
      await session.shards('orders');
      const reader = session.read('orders', 0, 0);
      const waiting = reader.next(1, MUCH);
      reader.close();
      assert.deepEqual(await waiting, []);
      assert.deepEqual(await reader.next(1, MUCH), []);
      const others = another.read('orders', 0, 0).next(1, MUCH);
      await another.close();
      assert.deepEqual(await others.catch(() => []), []);
    },
  },
];
