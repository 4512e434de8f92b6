import { describe, expect, test, vi } from 'vitest';
import { Grain, grain, method, state } from '../../framework/index.ts';
import { TestCluster } from '../../framework/testing/index.ts';

@grain()
class Saved extends Grain {
  @state() count = 0;

  @method() async add(): Promise<number> {
    return ++this.count; // not saved: only what moves along keeps it
  }
  @method({ interleave: true }) async *ticks(): AsyncGenerator<number> {
    yield this.count;
    await new Promise((resolve) => this.context.signal.addEventListener('abort', resolve));
  }
}

/** Keeps something that nothing carries. */
@grain({ keepAlive: true })
class Kept extends Grain {
  #count = 0;

  @method() async add(): Promise<number> {
    return ++this.#count;
  }
}

/** Has something to do later. */
@grain()
class Timed extends Grain {
  @state() count = 0;

  @method() async add(): Promise<number> {
    this.context.timer('later', { dueMs: 60_000 }, () => {});
    return ++this.count;
  }
}

/** Keeps something, and takes it along. */
@grain({ keepAlive: true })
class Carried extends Grain {
  #count = 0;

  @method() async add(): Promise<number> {
    return ++this.#count;
  }
  override onDehydrate(): unknown {
    return this.#count;
  }
  override onRehydrate(count: number): void {
    this.#count = count;
  }
}

const grains = [Saved, Kept, Timed, Carried];
const KEYS = Array.from({ length: 30 }, (_, index) => `k${index}`);

type Counter = { add(): Promise<number> };

function counters(
  cluster: TestCluster,
  type: typeof Saved | typeof Kept | typeof Timed | typeof Carried,
): Counter[] {
  return KEYS.map((key) => cluster.grain<Saved>(type as typeof Saved, key));
}

function placesOf(
  cluster: TestCluster,
  type: typeof Saved | typeof Kept | typeof Timed | typeof Carried,
): string[] {
  return KEYS.flatMap((key) => cluster.activationsOf(type, key).map(({ silo }) => silo));
}

async function addToAll(all: readonly Counter[]): Promise<number[]> {
  return Promise.all(all.map((each) => each.add()));
}

describe('grains that are away from home', () => {
  test('return, with what they have in memory, and lose no call on the way', async () => {
    await using cluster = await TestCluster.start({
      grains,
      silos: ['a', 'b'],
      options: { homecomingsPerSecond: 200 },
    });
    const all = counters(cluster, Saved);
    await addToAll(all);
    await cluster.start('c');
    await cluster.settled();
    let adds = 1;
    await vi.waitFor(
      async () => {
        adds++;
        expect(await addToAll(all)).toEqual(KEYS.map(() => adds));
        expect(placesOf(cluster, Saved)).toContain('c');
      },
      { timeout: 5_000 },
    );
    await cluster.settled();
    expect(placesOf(cluster, Saved)).toHaveLength(KEYS.length);
  });

  test('stay if they are kept alive, or have timers, and take nothing along; return if they do', async () => {
    await using cluster = await TestCluster.start({
      grains,
      silos: ['a', 'b'],
      options: { homecomingsPerSecond: 200 },
    });
    for (const type of [Kept, Timed, Carried]) await addToAll(counters(cluster, type));
    const before = [Kept, Timed].map((type) => placesOf(cluster, type));
    await cluster.start('c');
    await vi.waitFor(() => expect(placesOf(cluster, Carried)).toContain('c'), { timeout: 5_000 });
    expect(await addToAll(counters(cluster, Carried))).toEqual(KEYS.map(() => 2));
    expect([Kept, Timed].map((type) => placesOf(cluster, type))).toEqual(before);
    expect(await addToAll(counters(cluster, Kept))).toEqual(KEYS.map(() => 2));
  });

  test('stay while somebody reads a stream of theirs', async () => {
    await using cluster = await TestCluster.start({
      grains,
      silos: ['a'],
      options: { homecomingsPerSecond: 1_000 },
    });
    const streams = KEYS.map((key) => cluster.grain(Saved, key).ticks());
    for (const stream of streams) await stream.next();
    const moved = new Set<string>();
    cluster.subscribe((_silo, event) => {
      if (event.type === 'activationGone') moved.add(event.grain);
    });
    await cluster.grain(Saved, 'idle-0').add();
    await Promise.all(Array.from({ length: 40 }, (_, i) => cluster.grain(Saved, `idle-${i}`).add()));
    await cluster.start('b');
    // Those that may return have: so have all been looked at.
    await vi.waitFor(() => expect(moved.size).toBeGreaterThan(5), { timeout: 5_000 });
    await cluster.settled();
    expect([...moved].filter((id) => !id.includes('idle'))).toEqual([]);
    await Promise.all(streams.map((stream) => stream.return?.()));
  });

  test('stay where they are if a silo is told not to send them', async () => {
    await using cluster = await TestCluster.start({
      grains,
      silos: ['a'],
      options: { homecomingsPerSecond: 0 },
    });
    await addToAll(counters(cluster, Saved));
    await cluster.start('b');
    await cluster.settled();
    expect(new Set(placesOf(cluster, Saved))).toEqual(new Set(['a']));
  });
});

describe('a silo that is drained', () => {
  test('has nothing any more, takes nothing new, and still answers by way of the others', async () => {
    await using cluster = await TestCluster.start({ grains });
    for (const type of [Saved, Carried]) await addToAll(counters(cluster, type));
    const silo = cluster.silo('b');
    expect(await silo.drain()).toBe(true);
    expect(silo.activations).toBe(0);
    await cluster.settled();
    expect(await addToAll(counters(cluster, Carried))).toEqual(KEYS.map(() => 2));
    const places = new Set([...placesOf(cluster, Carried), ...placesOf(cluster, Saved)]);
    expect(places).toEqual(new Set(['a', 'c']));
    expect(cluster.silo('a').silos).not.toContain('b');
    expect(await silo.grain(Carried, KEYS[0] as string).add()).toBe(3);
    expect(silo.activations).toBe(0);
    await cluster.stop('b');
  });

  test('says so when a turn does not end, and can be drained again', async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    @grain()
    class Slow extends Grain {
      @method() async wait(): Promise<string> {
        await gate;
        return this.context.silo;
      }
    }
    await using cluster = await TestCluster.start({ grains: [Slow], options: { drainMs: 50 } });
    const call = cluster.grain(Slow, 'x').wait();
    await vi.waitFor(() => expect(cluster.activationsOf(Slow, 'x')).toHaveLength(1));
    const { silo: name } = cluster.activationsOf(Slow, 'x')[0] as { silo: string };
    const silo = cluster.silo(name);
    expect(await silo.drain()).toBe(false);
    const again = silo.drain();
    release();
    expect(await again).toBe(true);
    expect(await call).toBe(name);
  });

  test('that is the last one empties itself', async () => {
    await using cluster = await TestCluster.start({ grains, silos: ['a'] });
    await addToAll(counters(cluster, Carried));
    expect(await cluster.silo('a').drain()).toBe(true);
  });
});
