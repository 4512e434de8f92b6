import {
  type DeadLetter,
  type EventMeta,
  Grain,
  grain,
  inProcess,
  inProcessLog,
  LIMITS,
  method,
  type ReplayFrom,
  type RuntimeEvent,
  Silo,
  subscribe,
  type Transport,
} from 'granary';
import { type JetStreamOptions, jetStream } from 'granary/nats';
import { TestCluster } from 'granary/testing';
import { expect, test, vi } from 'vitest';

type Seen = readonly [event: unknown, meta: EventMeta];

class Recorder extends Grain {
  protected readonly seen: Seen[] = [];

  protected get events(): unknown[] {
    return this.seen.map(([event]) => event);
  }
}

@grain()
class Basket extends Recorder {
  @subscribe('orders', { tries: 2 })
  async ordered(event: unknown, meta: EventMeta): Promise<void> {
    this.seen.push([event, meta]);
    if (event === 'poison') throw new RangeError('this cannot be ordered');
  }

  @method()
  async ordersSeen(): Promise<unknown[]> {
    return this.events;
  }

  @method()
  async metas(): Promise<EventMeta[]> {
    return this.seen.map(([, meta]) => meta);
  }

  @method()
  async order(key: string, event: unknown): Promise<number> {
    return this.publish('orders', key, event);
  }
}

@grain()
class Follower extends Recorder {
  @subscribe('orders', { explicit: true })
  async followed(event: unknown, meta: EventMeta): Promise<void> {
    this.seen.push([event, meta]);
  }

  @method()
  async follow(key: string, from?: ReplayFrom): Promise<void> {
    await this.context.subscribe('orders', key, from === undefined ? {} : { from });
  }

  @method()
  async followWith(options: object): Promise<void> {
    await this.context.subscribe('orders', 'k', options);
  }

  @method()
  async unfollow(key: string): Promise<void> {
    await this.context.unsubscribe('orders', key);
  }

  @method()
  async eventsSeen(): Promise<unknown[]> {
    return this.events;
  }
}

@grain()
class Ticker extends Recorder {
  @subscribe('prices', { broadcast: true })
  async priced(event: unknown, meta: EventMeta): Promise<void> {
    this.seen.push([event, meta]);
  }

  @method()
  async prices(): Promise<unknown[]> {
    return this.events;
  }

  @method()
  async shout(event: unknown): Promise<number> {
    return this.broadcast('prices', event);
  }
}

let open: () => void = () => {};
let gate = Promise.resolve();

@grain()
class Slow extends Recorder {
  @subscribe('work')
  async work(): Promise<void> {
    await gate;
  }
}

const grains = [Basket, Follower, Ticker];

test('an event is handled by the grain of its key, one after the other', async () => {
  await using cluster = await TestCluster.start({ grains });
  const places = [cluster.silo('a'), cluster.silo('b'), cluster.client];
  for (let n = 0; n < 30; n++) await places[n % 3]?.publish('orders', `k${n % 5}`, n);
  await cluster.grain(Basket, 'somebody').order('k3', 'from a grain');
  await vi.waitFor(async () => {
    const seen = await cluster.grain(Basket, 'k3').ordersSeen();
    expect(seen).toEqual([3, 8, 13, 18, 23, 28, 'from a grain']);
  });
  const metas = await cluster.grain(Basket, 'k3').metas();
  expect(metas[0]).toMatchObject({ topic: 'orders', key: 'k3', attempt: 1 });
  expect(metas.map(({ seq }) => seq)).toEqual(metas.map(({ seq }) => seq).sort((a, b) => a - b));
  await vi.waitFor(async () => {
    const lags = await cluster.silo('b').topics.lag();
    const all = { events: 0, underWay: 0, shards: 16, ofShards: 16 };
    expect(lags).toContainEqual({ topic: 'orders', subscriber: 'Basket', ...all });
  });
});

test('an event is there for all kinds of keys, and what a topic has can be read again', async () => {
  await using cluster = await TestCluster.start({ grains, silos: ['a'] });
  const silo = cluster.silo('a');
  for (const key of [['eu', 'a/b'], 'ü %', 42]) await silo.publish('orders', key, { key });
  await vi.waitFor(async () => {
    expect(await cluster.grain(Basket, ['eu', 'a/b']).ordersSeen()).toEqual([{ key: ['eu', 'a/b'] }]);
    expect(await cluster.grain(Basket, 'ü %').ordersSeen()).toEqual([{ key: 'ü %' }]);
    expect(await cluster.grain(Basket, 42).ordersSeen()).toEqual([{ key: 42 }]);
  });
  const read = async (options: object) => {
    const keys: string[] = [];
    for await (const { key } of silo.topics.read('orders', options)) keys.push(key);
    return keys;
  };
  expect(await read({})).toEqual(['eu/a%2Fb', 'ü %', '42']);
  expect(await read({ key: 'ü %' })).toEqual(['ü %']);
  expect(await read({ from: 3 })).toEqual(['42']);
  expect(await read({ from: new Date(0) })).toHaveLength(3);
});

test('what cannot be handled is put aside with its error, and what comes after it is handled', async () => {
  await using cluster = await TestCluster.start({ grains });
  const told: RuntimeEvent[] = [];
  cluster.subscribe((_silo, event) => told.push(event));
  for (const event of ['before', 'poison', 'after']) await cluster.client.publish('orders', 'k', event);
  await vi.waitFor(async () => {
    expect(await cluster.grain(Basket, 'k').ordersSeen()).toEqual(['before', 'poison', 'poison', 'after']);
  });
  const letters: DeadLetter[] = [];
  for await (const letter of cluster.silo('a').topics.deadLetters('orders')) letters.push(letter);
  expect(letters).toEqual([
    {
      ...{ topic: 'orders', key: 'k', subscriber: 'Basket/k', attempts: 2, event: 'poison' },
      ...{ seq: 2, publishedAt: expect.any(Number) },
      error: expect.objectContaining({ name: 'RangeError', message: 'this cannot be ordered' }),
    },
  ]);
  const ofTrouble = told.filter(({ type }) => type === 'eventFailed' || type === 'eventDeadLettered');
  expect(ofTrouble).toMatchObject([
    { type: 'eventFailed', topic: 'orders', grain: 'Basket/k', seq: 2, attempt: 1 },
    { type: 'eventFailed', attempt: 2 },
    { type: 'eventDeadLettered', seq: 2, attempt: 2 },
  ]);
  expect((await cluster.grain(Basket, 'k').metas()).map(({ attempt }) => attempt)).toEqual([1, 1, 2, 1]);
});

test('a grain follows keys that it chose, from now on or from before, until it does not', async () => {
  await using cluster = await TestCluster.start({ grains });
  const { client } = cluster;
  const [late, early] = [cluster.grain(Follower, 'late'), cluster.grain(Follower, 'early')];
  const second = [await client.publish('orders', 'k', 1), await client.publish('orders', 'k', 2)][1];
  await late.follow('k');
  await late.follow('k'); // once more changes nothing
  await early.follow('k', 'start');
  await cluster.grain(Follower, 'number').follow('k', second);
  for (const event of [3, 4]) await client.publish('orders', 'k', event);
  await client.publish('orders', 'another', 'not for them');
  await vi.waitFor(async () => {
    expect(await late.eventsSeen()).toEqual([3, 4]);
    expect(await early.eventsSeen()).toEqual([1, 2, 3, 4]);
    expect(await cluster.grain(Follower, 'number').eventsSeen()).toEqual([2, 3, 4]);
  });
  await late.unfollow('k');
  await vi.waitFor(async () => {
    await client.publish('orders', 'k', 'probe');
    expect((await early.eventsSeen()).length).toBeGreaterThan((await late.eventsSeen()).length + 4);
  });
});

test('a subscription is still there when all silos have been started anew', async () => {
  const options = { topics: inProcessLog() };
  {
    await using cluster = await TestCluster.start({
      grains,
      silos: ['a', 'b'],
      options: { ...options, cluster: 'x' },
    });
    await cluster.grain(Follower, 'f').follow('k');
    await cluster.silo('a').publish('orders', 'k', 'before');
    await vi.waitFor(async () => expect(await cluster.grain(Follower, 'f').eventsSeen()).toEqual(['before']));
  }
  await using cluster = await TestCluster.start({
    grains,
    silos: ['c'],
    options: { ...options, cluster: 'x' },
  });
  await cluster.silo('c').publish('orders', 'k', 'after');
  await vi.waitFor(async () => expect(await cluster.grain(Follower, 'f').eventsSeen()).toEqual(['after']));
});

test('a broadcast is heard by those who are active, on all silos, and by nobody else', async () => {
  await using cluster = await TestCluster.start({ grains });
  const keys = Array.from({ length: 12 }, (_, n) => `${n}`);
  for (const key of keys) expect(await cluster.grain(Ticker, key).prices()).toEqual([]);
  expect(await cluster.client.broadcast('prices', { tea: 3 })).toBe(3);
  expect(await cluster.grain(Ticker, '0').shout('from a grain')).toBe(3);
  expect(
    await cluster
      .silo('a')
      .broadcast('nobody hears this', 1)
      .catch((error) => error.code),
  ).toBe('INVALID_CONFIG');
  expect(await cluster.silo('a').broadcast('unheard', 1)).toBe(0);
  await vi.waitFor(async () => {
    for (const key of keys) {
      const heard = await cluster.grain(Ticker, key).prices();
      expect(heard).toHaveLength(2);
      expect(heard).toContainEqual({ tea: 3 });
    }
  });
  expect(await cluster.grain(Ticker, 'late').prices()).toEqual([]);
});

test('a slow grain holds nothing in memory but its window, and misses nothing', async () => {
  await using cluster = await TestCluster.start({ grains: [Slow], silos: ['a'] });
  gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const silo = cluster.silo('a');
  for (let n = 0; n < 1_000; n++) await silo.publish('work', 'one', n);
  await vi.waitFor(async () => {
    const [lag] = await silo.topics.lag();
    expect(lag).toMatchObject({ events: 1_000, underWay: LIMITS.topicWindow });
  });
  open();
  await vi.waitFor(async () => expect(await silo.topics.lag()).toMatchObject([{ events: 0 }]));
});

test('topics, keys, events and places to begin that make no sense are refused by name', async () => {
  await using cluster = await TestCluster.start({ grains, silos: ['a'] });
  const { client } = cluster;
  const invalid = { code: 'INVALID_CONFIG' };
  await expect(client.publish('not a topic', 'k', 1)).rejects.toMatchObject(invalid);
  await expect(client.publish('orders.dead', 'k', 1)).rejects.toMatchObject(invalid);
  await expect(client.publish('orders', '', 1)).rejects.toMatchObject({ code: 'INVALID_KEY' });
  await expect(client.publish('orders', 'k', () => 1)).rejects.toMatchObject({ code: 'NOT_SERIALIZABLE' });
  const large = new Uint8Array(LIMITS.eventBytes + 1);
  await expect(client.publish('orders', 'k', large)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
  const follower = cluster.grain(Follower, 'f');
  await expect(follower.follow('k', -1)).rejects.toMatchObject(invalid);
  await expect(follower.follow('k', new Date(Number.NaN))).rejects.toMatchObject(invalid);
  await expect(follower.follow('')).rejects.toMatchObject({ code: 'INVALID_KEY' });
  await expect(follower.followWith({ form: 'start' })).rejects.toThrow("no option 'form'");
  const misspelt = { form: 5 } as object;
  expect(() => cluster.silo('a').topics.read('orders', misspelt)).toThrow("no option 'form'");
  // No reference makes the calls that deliveries are.
  const forged = cluster.grain(Basket, 'k') as unknown as Record<string, unknown>;
  expect(forged['$event.orders']).toBeUndefined();
  await expect(async () => (forged.ordered as () => Promise<void>)()).rejects.toMatchObject({
    code: 'METHOD_NOT_FOUND',
  });
});

test('a class whose subscription makes no sense is refused at start', async () => {
  const start = (Class: new () => Grain) => Silo.start({ grains: [Class], log: 'silent' });
  const refused = async (options: object, member: 'handle' | 'value' = 'handle', topic = 'orders') => {
    class Wrong extends Grain {
      readonly value = 1;
      async handle(): Promise<void> {}
    }
    const target = Wrong.prototype;
    subscribe(topic, options)(target, member);
    grain()(Wrong);
    await expect(start(Wrong)).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  };
  await refused({}, 'handle', 'with space');
  await refused({}, 'value');
  await refused({ tries: 0 });
  await refused({ tries: 1.5 });
  await refused({ misspelt: true });
  await refused({ from: 'yesterday' });
  await refused({ explicit: true, from: 'start' });
  await refused({ explicit: true, broadcast: true });
  await refused({ broadcast: true, tries: 3 });
});

test('options of a log that are misspelt are refused before anything is opened', () => {
  const servers = 'nats://127.0.0.1:4222';
  expect(() => jetStream({ servers, shard: 4 } as JetStreamOptions)).toThrow("no option 'shard'");
  expect(() => jetStream(undefined as never)).toThrow('jetStream(): options are missing');
  expect(() => inProcessLog({ maxEvent: 4 } as object)).toThrow("no option 'maxEvent'");
});

test('without a log, a silo that subscribes does not start, and one that publishes is told why', async () => {
  const network = inProcess();
  const foreign: Transport = { open: (options) => network.open(options) };
  const subscribing = Silo.start({ grains: [Basket], transport: foreign, log: 'silent' });
  await expect(subscribing).rejects.toThrow(/class Basket subscribes to 'orders'.*jetStream/s);
  const wrong = Silo.start({ grains: [Ticker], topics: {} as never, log: 'silent' });
  await expect(wrong).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  await using silo = await Silo.start({ grains: [Ticker], transport: foreign, log: 'silent' });
  await expect(silo.publish('orders', 'k', 1)).rejects.toThrow(/no log of events.*jetStream/s);
});
