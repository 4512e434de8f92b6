import { type Clock, Grain, grain, method, state, type Timer } from 'granary';
import { TestCluster } from 'granary/testing';
import { expect, test } from 'vitest';

/** The machine's clock, of a process that can be stopped: its timers wait while time goes on. */
class StoppableClock implements Clock {
  #stopped = false;
  #late: (() => void)[] = [];

  now = () => performance.now();
  recent = () => performance.now();
  wallNow = () => Date.now();
  defer = (callback: () => void) => process.nextTick(callback);
  afterIO = (callback: () => void) => void this.after(0, callback);
  inBackground = (delayMs: number, callback: () => void) => this.after(delayMs, callback);

  after(delayMs: number, callback: () => void): Timer {
    let cancelled = false;
    const fire = () => {
      if (!cancelled) callback();
    };
    const timeout = setTimeout(() => (this.#stopped ? this.#late.push(fire) : fire()), delayMs).unref();
    return {
      cancel() {
        cancelled = true;
        clearTimeout(timeout);
      },
    };
  }

  stop(): void {
    this.#stopped = true;
  }

  continue(): void {
    this.#stopped = false;
    for (const fire of this.#late.splice(0)) fire();
  }
}

@grain()
class Tally extends Grain {
  @state() count = 0;

  @method()
  async add(): Promise<number> {
    this.count++;
    await this.save();
    return this.count;
  }
}

const keys = Array.from({ length: 30 }, (_, i) => `k${i}`);
const options = { detection: { heartbeatMs: 50, probeMs: 120, suspectMs: 400 } };

/** Silo `a`, whose process can be stopped, and silo `b`. */
async function startWithStoppable() {
  const clock = new StoppableClock();
  const cluster = await TestCluster.start({ silos: ['b'], grains: [Tally], options });
  await cluster.start('a', { clock });
  await cluster.settled();
  return {
    cluster,
    stop() {
      clock.stop();
      cluster.network.pause('a');
    },
    continue() {
      clock.continue();
      cluster.network.resume('a');
    },
  };
}

const addAll = (cluster: TestCluster, from = cluster.client as { grain: TestCluster['grain'] }) =>
  Promise.all(keys.map((key) => from.grain(Tally, key).add()));

async function expectOneEach(cluster: TestCluster): Promise<void> {
  await cluster.settled();
  for (const key of keys) expect(cluster.activationsOf(Tally, key).length, key).toBe(1);
}

test('a silo that was stopped and continues takes its place again, and no write is lost', async () => {
  const { cluster, ...process } = await startWithStoppable();
  await using _ = cluster;
  expect(new Set(await addAll(cluster))).toEqual(new Set([1]));
  process.stop();
  await expect.poll(() => cluster.silo('b').silos, { timeout: 10_000 }).toEqual(['b']);
  expect(new Set(await addAll(cluster))).toEqual(new Set([2]));
  process.continue();
  await cluster.settled();
  expect(new Set(await addAll(cluster, cluster.silo('a')))).toEqual(new Set([3]));
  await expectOneEach(cluster);
});

test('a silo that was stopped while all others were restarted works again when it continues', async () => {
  const { cluster, ...process } = await startWithStoppable();
  await using _ = cluster;
  expect(new Set(await addAll(cluster))).toEqual(new Set([1]));
  process.stop();
  await expect.poll(() => cluster.silo('b').silos, { timeout: 10_000 }).toEqual(['b']);
  cluster.crash('b');
  await cluster.start('b');
  expect(new Set(await addAll(cluster))).toEqual(new Set([2]));
  process.continue();
  await cluster.settled();
  expect(new Set(await addAll(cluster, cluster.silo('a')))).toEqual(new Set([3]));
  await expectOneEach(cluster);
});

test('a silo that was stopped and is alone when it continues serves alone', async () => {
  const { cluster, ...process } = await startWithStoppable();
  await using _ = cluster;
  expect(new Set(await addAll(cluster))).toEqual(new Set([1]));
  process.stop();
  await expect.poll(() => cluster.silo('b').silos, { timeout: 10_000 }).toEqual(['b']);
  cluster.crash('b');
  process.continue();
  await cluster.settled();
  expect(new Set(await addAll(cluster, cluster.silo('a')))).toEqual(new Set([2]));
});
