import { type DeadLetter, type EventMeta, Grain, grain, method, subscribe } from 'granary';
import { type SimulatedCluster, simulate } from 'granary/testing';
import { beforeEach, expect, test } from 'vitest';
import { seeds } from '../support/seeds.ts';

interface Handled {
  readonly by: string;
  readonly key: string;
  readonly value: number;
  readonly seq: number;
}

interface Published {
  readonly key: string;
  readonly value: number;
  /** Undefined: nobody knows whether the log has it. */
  readonly seq: number | undefined;
}

/** Turns of handlers that have ended well, in the order of their ends. */
let handled: Handled[] = [];

/** A value that no handler can bear. */
const isPoison = (value: number) => value % 17 === 16;

beforeEach(() => {
  handled = [];
  heard = [];
});

class Recorder extends Grain {
  protected async record(value: number, { key, seq }: EventMeta): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
    if (isPoison(value)) throw new RangeError(`${value} is poison`);
    if (Math.random() < 0.05) throw new Error('a slip');
    handled.push({ by: this.context.id, key, value, seq });
  }
}

@grain()
class Ledger extends Recorder {
  @subscribe('orders', { tries: 4 })
  async ordered(value: number, meta: EventMeta): Promise<void> {
    await this.record(value, meta);
  }
}

@grain()
class Audit extends Recorder {
  @subscribe('orders', { tries: 4 })
  async ordered(value: number, meta: EventMeta): Promise<void> {
    await this.record(value, meta);
  }
}

@grain()
class Watcher extends Recorder {
  @subscribe('orders', { explicit: true, tries: 4 })
  async ordered(value: number, meta: EventMeta): Promise<void> {
    await this.record(value, meta);
  }

  @method({ idempotent: true })
  async watch(key: string, from: 'new' | 'start' | number): Promise<void> {
    await this.context.subscribe('orders', key, { from });
  }

  @method({ idempotent: true })
  async unwatch(key: string): Promise<void> {
    await this.context.unsubscribe('orders', key);
  }
}

/** What was heard: who, and which broadcast. */
let heard: string[] = [];

@grain()
class Listener extends Grain {
  @subscribe('news', { broadcast: true })
  async told(n: number): Promise<void> {
    heard.push(`${this.context.activationId} ${n}`);
  }

  @method({ readOnly: true })
  async wake(): Promise<string> {
    return this.context.activationId;
  }
}

const KEYS = ['ada', 'bob', 'eve', 'a b/c%'];
const grains = [Ledger, Audit, Watcher];

/** Publishes for a while, one event of a key after the other, and remembers what the log has said. */
async function publishFor(cluster: SimulatedCluster, ms: number, first = 0): Promise<Published[]> {
  const published: Published[] = [];
  const until = cluster.now + ms;
  const ofKey = async (key: string) => {
    const random = cluster.random.fork(`publisher ${key}`);
    for (let value = first; cluster.now < until; value++) {
      const name = random.pick([...cluster.names, 'client']);
      const place = name === 'client' ? cluster.client : cluster.silo(name);
      const seq = await acknowledged(cluster, name, () => place.publish('orders', key, value));
      published.push({ key, value, seq });
      await cluster.sleep(random.exponential(150));
    }
  };
  await Promise.all(KEYS.map(ofKey));
  return published;
}

/** Undefined when the outcome is unknown; a silo that dies never answers. */
async function acknowledged(
  cluster: SimulatedCluster,
  name: string,
  publish: () => Promise<number>,
): Promise<number | undefined> {
  let over = false;
  const gone = async () => {
    while (!over && (name === 'client' || cluster.names.includes(name))) await cluster.sleep(500);
    await cluster.sleep(100);
    return undefined;
  };
  const answer = publish().catch(() => undefined);
  return Promise.race([answer, gone()]).finally(() => {
    over = true;
  });
}

/** Waits until all subscribers have what there is. */
async function handledAll(cluster: SimulatedCluster): Promise<void> {
  const until = cluster.now + 600_000;
  for (;;) {
    const [name] = cluster.names as [string];
    const lags = await cluster.silo(name).topics.lag();
    if (lags.length > 0 && lags.every(({ events, shards, ofShards }) => events === 0 && shards === ofShards))
      return;
    expect(cluster.now, JSON.stringify(lags)).toBeLessThan(until);
    await cluster.sleep(500);
  }
}

/** What must be true of what one subscriber has handled of one key. */
function expectInOrder(
  by: string,
  key: string,
  published: readonly Published[],
  dead: readonly DeadLetter[],
): void {
  const firsts: Handled[] = [];
  const seen = new Set<number>();
  for (const each of handled) {
    if (each.by !== by || each.key !== key || seen.has(each.seq)) continue;
    seen.add(each.seq);
    firsts.push(each);
  }
  const seqs = firsts.map(({ seq }) => seq);
  expect(seqs, `${by} ${key}`).toEqual([...seqs].sort((a, b) => a - b));
  const putAside = new Set(dead.filter((letter) => letter.subscriber === by).map(({ seq }) => seq));
  const missed = published.filter(
    (each) => each.key === key && each.seq !== undefined && !seen.has(each.seq) && !putAside.has(each.seq),
  );
  expect(missed, `${by} ${key}`).toEqual([]);
  for (const { value } of firsts) expect(isPoison(value)).toBe(false);
}

async function deadLetters(cluster: SimulatedCluster): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  const [name] = cluster.names as [string];
  for await (const letter of cluster.silo(name).topics.deadLetters('orders')) letters.push(letter);
  return letters;
}

test.each(seeds(3))(
  'in all troubles at once, what the log has taken is handled or put aside, in order of each key (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: 3, grains, faults: 'swarm', maxMs: 1_800_000 }, async (cluster) => {
      const published = await publishFor(cluster, 12_000);
      await cluster.stopFaults();
      await cluster.settled();
      await handledAll(cluster);
      const dead = await deadLetters(cluster);
      for (const key of KEYS) {
        for (const type of ['Ledger', 'Audit']) {
          const id = cluster.grain(type, key === 'a b/c%' ? 'a b/c%' : key).$id;
          expectInOrder(id, key, published, dead);
        }
      }
      expect(published.filter(({ seq }) => seq !== undefined).length).toBeGreaterThan(20);
    });
  },
);

test('with topics, too, the same seed is the same run', async () => {
  const run = () =>
    simulate({ seed: 3, silos: 3, grains, faults: 'swarm' }, async (cluster) => {
      await publishFor(cluster, 3_000);
      await cluster.sleep(2_000);
    });
  expect(await run()).toEqual(await run());
});

test.each(seeds(3))(
  'a subscription gets what was published from where it begins, whatever happens, and ends (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: 3, grains, faults: 'swarm', maxMs: 1_800_000 }, async (cluster) => {
      const before = await publishFor(cluster, 4_000);
      const watch = (name: string, from: 'new' | 'start') =>
        insist(cluster, () => cluster.grain(Watcher, name).watch('ada', from));
      await Promise.all([watch('all', 'start'), watch('left', 'start')]);
      const lastBefore = Math.max(0, ...before.map(({ seq = 0 }) => seq));
      await watch('new', 'new');
      const after = await publishFor(cluster, 10_000, 1_000);
      await insist(cluster, () => cluster.grain(Watcher, 'left').unwatch('ada'));
      await cluster.stopFaults();
      await cluster.settled();
      await handledAll(cluster);
      await cluster.sleep(5_000); // what is on its way when a subscription ends may still come
      const mark = handled.length;
      const last = await publishFor(cluster, 3_000, 2_000);
      await handledAll(cluster);
      await caughtUp(cluster, [...after, ...last]);
      const dead = await deadLetters(cluster);
      expectInOrder('Watcher/all', 'ada', [...before, ...after, ...last], dead);
      expectInOrder('Watcher/new', 'ada', [...after, ...last], dead);
      expectInOrder('Watcher/left', 'ada', [], dead);
      expect(handled.slice(mark).filter(({ by }) => by === 'Watcher/left')).toEqual([]);
      const early = handled.filter(({ by, seq }) => by === 'Watcher/new' && seq <= lastBefore);
      expect(early).toEqual([]);
      expect(handled.every(({ by, key }) => !by.startsWith('Watcher/') || key === 'ada')).toBe(true);
    });
  },
);

/** Until it succeeds: faults may last for longer than a call. */
async function insist(cluster: SimulatedCluster, act: () => Promise<void>): Promise<void> {
  for (const until = cluster.now + 300_000; ; ) {
    try {
      return await act();
    } catch (error) {
      if (cluster.now > until) throw error;
      await cluster.sleep(200);
    }
  }
}

/** Subscriptions that read on their own are not all in the lag: waits until they have the last event. */
async function caughtUp(cluster: SimulatedCluster, published: readonly Published[]): Promise<void> {
  const good = published.filter(
    ({ key, value, seq }) => key === 'ada' && seq !== undefined && !isPoison(value),
  );
  const last = good.at(-1)?.seq;
  const has = (by: string) => handled.some((each) => each.by === by && each.seq === last);
  const until = cluster.now + 600_000;
  while (last !== undefined && !['Watcher/all', 'Watcher/new'].every(has)) {
    expect(cluster.now).toBeLessThan(until);
    await cluster.sleep(500);
  }
}

test.each(seeds(3))(
  'an event whose acknowledgement is lost is published again, and is there once (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: 2, grains }, async (cluster) => {
      cluster.setStores({ lostAnswers: 0.4, errors: 0.2 });
      for (let value = 0; value < 10; value++) {
        await cluster
          .silo('a')
          .publish('orders', 'ada', value)
          .catch(() => {});
      }
      cluster.calm();
      const values: unknown[] = [];
      for await (const { event } of cluster.silo('b').topics.read('orders')) values.push(event);
      expect(values.length).toBeGreaterThan(0);
      expect(values).toEqual([...new Set(values)]);
    });
  },
);

test('while the log cannot be reached, publishing fails by name; then all goes on by itself', async () => {
  await simulate({ seed: 1, silos: 2, grains }, async (cluster) => {
    const silo = cluster.silo('a');
    await silo.publish('orders', 'ada', 1);
    cluster.partitionOneWay(['a', 'b'], ['store']);
    const from = cluster.now;
    const failure = await silo.publish('orders', 'ada', 2).catch((error) => error);
    expect(failure).toMatchObject({ code: 'EVENT_LOG_FAILED', retryable: true });
    expect(cluster.now - from).toBeLessThan(10_500);
    cluster.heal();
    await silo.publish('orders', 'ada', 3);
    await handledAll(cluster);
    const values = handled.filter(({ by }) => by === 'Ledger/ada').map(({ value }) => value);
    expect(values).toContain(1);
    expect(values.at(-1)).toBe(3);
  });
});

test.each(seeds(3))(
  'a broadcast is heard at most once by each activation, and by all of them when nothing is wrong (seed %i)',
  async (seed) => {
    const faults = ['crash', 'leave', 'join', 'loss', 'duplication', 'partition'] as const;
    await simulate({ seed, silos: 3, grains: [Listener], faults }, async (cluster) => {
      for (let n = 0; n < 100; n++) {
        void cluster
          .grain(Listener, `${n % 10}`)
          .wake()
          .catch(() => {});
        await cluster.client.broadcast('news', n);
        await cluster.sleep(50);
      }
      await cluster.stopFaults();
      await cluster.settled();
      const ids = await Promise.all(KEYS.map((key) => cluster.grain(Listener, key).wake()));
      await cluster.client.broadcast('news', 100);
      await cluster.sleep(1_000);
      expect(heard).toEqual([...new Set(heard)]);
      for (const id of ids) expect(heard).toContain(`${id} 100`);
    });
  },
);
