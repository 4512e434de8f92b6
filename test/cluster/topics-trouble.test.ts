import {
  type DeadLetter,
  type EventLog,
  Grain,
  grain,
  inProcess,
  inProcessLog,
  method,
  PayloadTooLargeError,
  Silo,
  subscribe,
  type Transport,
} from 'granary';
import { TestCluster } from 'granary/testing';
import { beforeEach, expect, test, vi } from 'vitest';
import { pack } from '../../framework/serialization/codec.ts';
import { systemClock } from '../../framework/system/clock.ts';

/** Turns of handlers that have ended: key and event. */
let handled: string[] = [];
/** What handlers wait for. */
let gate = Promise.resolve();

beforeEach(() => {
  handled = [];
  gate = Promise.resolve();
});

@grain()
class Worker extends Grain {
  @subscribe('work', { tries: 2 })
  async work(event: unknown): Promise<void> {
    await gate;
    handled.push(`${this.key} ${event}`);
  }
}

async function handledAll(silo: Silo): Promise<void> {
  await vi.waitFor(async () => expect(await silo.topics.lag()).toMatchObject([{ events: 0 }]), 5_000);
}

async function lettersOf(silo: Silo, topic: string): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  for await (const letter of silo.topics.deadLetters(topic)) letters.push(letter);
  return letters;
}

test('a silo that leaves finishes what is under way and ends soon, and nobody repeats that', async () => {
  await using cluster = await TestCluster.start({ grains: [Worker], silos: ['a', 'b'] });
  const [silo, keys] = [cluster.silo('b'), Array.from({ length: 40 }, (_, n) => `k${n}`)];
  for (const key of keys) await silo.publish('work', key, 'first');
  await handledAll(silo);
  let open = () => {};
  gate = new Promise((resolve) => {
    open = resolve;
  });
  for (const key of keys) await silo.publish('work', key, 'second');
  await vi.waitFor(async () => expect(await silo.topics.lag()).toMatchObject([{ underWay: 40 }]));
  // So that what has been handled is written down, and no such writing is under way.
  await new Promise((resolve) => setTimeout(resolve, 150));
  cluster.subscribe((_silo, { type }) => {
    if (type === 'viewChanged') setTimeout(open, 10);
  });
  await cluster.stop('a');
  await handledAll(silo);
  expect(handled).toHaveLength(80);
  expect(new Set(handled).size).toBe(80);
});

test('what is in a log and is no event is put aside, too', async () => {
  const topics = inProcessLog({ shards: 1 });
  await using silo = await Silo.start({ cluster: 'x', grains: [Worker], topics, log: 'silent' });
  const session = await topics.open({ cluster: 'x', clock: systemClock });
  await session.append('work', 0, { key: 'k', data: pack('hello', 'text'), id: 'a' });
  await session.append('work', 0, { key: 'k', data: new Uint8Array([0xc1]), id: 'b' });
  await silo.publish('work', 'k', 'event');
  await handledAll(silo);
  expect(handled).toEqual(['k event']);
  expect(await lettersOf(silo, 'work')).toMatchObject([
    { key: 'unreadable', event: pack('hello', 'text') },
    { key: 'unreadable', event: new Uint8Array([0xc1]) },
  ]);
});

/** A class before and after somebody has given it a subscription. */
function roller(subscribes: boolean) {
  class Roller extends Grain {
    @method() async nothing(): Promise<void> {}

    async work(event: unknown): Promise<void> {
      handled.push(`${this.key} ${event}`);
    }
  }
  if (subscribes) subscribe('work', { tries: 1 })(Roller.prototype, 'work');
  grain({ name: 'Roller' })(Roller);
  return Roller;
}

test('while a silo has a class that does not subscribe yet, its events wait', async () => {
  const options = { transport: inProcess(), topics: inProcessLog({ shards: 4 }), log: 'silent' as const };
  const old = await Silo.start({ ...options, grains: [roller(false)], name: 'old' });
  await using silo = await Silo.start({ ...options, grains: [roller(true)], name: 'new' });
  const failed = new Set<string>();
  silo.subscribe((event) => event.type === 'eventFailed' && failed.add(event.grain), ['eventFailed']);
  const keys = Array.from({ length: 12 }, (_, n) => `k${n}`);
  for (const key of keys) await silo.publish('work', key, 1);
  await vi.waitFor(() => expect(handled.length + failed.size).toBe(12));
  expect(failed.size).toBeGreaterThan(0);
  await old.stop();
  await handledAll(silo);
  expect([...handled].sort()).toEqual(keys.map((key) => `${key} 1`).sort());
  expect(await lettersOf(silo, 'work')).toEqual([]);
});

@grain()
class Idle extends Grain {
  @method() async nothing(): Promise<void> {}
}

test('silos without a log are not asked how far they are behind', async () => {
  const network = inProcess();
  const transport: Transport = { open: (options) => network.open(options) };
  await using silo = await Silo.start({ transport, topics: inProcessLog(), grains: [Worker] });
  await using _other = await Silo.start({ transport, grains: [Idle], log: 'silent' });
  expect(await silo.topics.lag()).toMatchObject([{ topic: 'work', shards: 16 }]);
});

test('what has the number of an event that the log has lost is handled', async () => {
  const topics = inProcessLog({ shards: 1 });
  const session = await topics.open({ cluster: 'x', clock: systemClock });
  const writePosition = (position: object) =>
    session.writeCell(['position', 'work', 'Worker', '0'], pack(position, 'position'), 0);
  const savedAt = Date.now() + 3_600_000;
  const append = async (text: string, id: string) =>
    session.append('work', 0, { key: 'k', data: pack(['k', text], 'event'), id });
  await session.shards('work');
  await append('long ago', 'a');
  await writePosition({ floor: 1_000, done: [1_002], failed: [1_003, 1], savedAt });
  const late = vi.spyOn(systemClock, 'wallNow').mockImplementation(() => savedAt + 1_000);
  await append('since then', 'b');
  late.mockRestore();
  await using silo = await Silo.start({ cluster: 'x', grains: [Worker], topics });
  await silo.publish('work', 'k', 'event');
  await vi.waitFor(() => expect(handled).toEqual(['k since then', 'k event']));
});

@grain()
class Talkative extends Grain {
  @subscribe('words', { tries: 1 })
  async heard(event: string): Promise<void> {
    if (event === 'last') handled.push(event);
    else throw Object.assign(new Error(event), { name: 'N'.repeat(1_000_000), code: 'C'.repeat(1_000_000) });
  }
}

test('what does not fit into the log beside its error is put aside without', async () => {
  const log = inProcessLog();
  const topics: EventLog = {
    async open(options) {
      const session = await log.open(options);
      const { append } = session;
      session.append = async (topic, shard, event) => {
        if (event.data.length > 10_000) throw new PayloadTooLargeError('too large');
        return append.call(session, topic, shard, event);
      };
      return session;
    },
  };
  await using silo = await Silo.start({ grains: [Talkative], topics, log: 'silent' });
  const large = 'large '.repeat(1_600);
  for (const event of ['small', large, 'last']) await silo.publish('words', 'k', event);
  await vi.waitFor(() => expect(handled).toEqual(['last']));
  const letters = await lettersOf(silo, 'words');
  expect(letters.map(({ event }) => event)).toEqual(['small', undefined]);
});
