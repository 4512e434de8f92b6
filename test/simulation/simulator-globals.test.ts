import nodeCrypto, { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { setTimeout as namedSetTimeout } from 'node:timers';
import { setInterval as everyPromised, scheduler, setTimeout as sleepPromised } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Grain, type GrainStore, grain, memory, method, state } from 'granary';
import { type SimulatedCluster, simulate } from 'granary/testing';
import { describe, expect, test } from 'vitest';

/** Everything that tells of time or chance. */
async function drawn(): Promise<readonly unknown[]> {
  const filled = new Uint8Array(4);
  const called = await new Promise((resolve) => randomBytes(4, (_, bytes) => resolve(bytes.toString('hex'))));
  return [
    ...[Date.now(), new Date().toISOString(), Date(), performance.now(), process.hrtime.bigint()],
    ...[process.hrtime(), Math.random(), crypto.randomUUID(), randomUUID(), randomBytes(8).toString('hex')],
    ...[randomInt(1e9), randomInt(5, 1e9), crypto.getRandomValues(filled).join(), called],
    ...[nodeCrypto.randomFillSync(new Uint32Array(2), 1).join(), nodeCrypto.getRandomValues(filled).join()],
  ];
}

@grain()
class Diary extends Grain {
  @state() begun = new Date();

  @method()
  async draw(): Promise<string> {
    return (await drawn()).map(String).join(' ');
  }

  @method()
  async begin(): Promise<Date> {
    await this.save();
    return this.begun;
  }

  /** Ways to wait, and how long each of them took. */
  @method()
  async waits(): Promise<number[]> {
    const ways: (() => Promise<unknown>)[] = [
      () => new Promise((resolve) => setTimeout(resolve, 70)),
      () => new Promise((resolve) => namedSetTimeout(resolve, 70)),
      () => sleepPromised(70),
      () => scheduler.wait(70),
      () => promisify(setTimeout)(70),
      () => everyPromised(70).next(),
      () => new Promise((resolve) => AbortSignal.timeout(70).addEventListener('abort', resolve)),
      () => sleepPromised(1e9, undefined, { signal: AbortSignal.timeout(70) }).catch(() => {}),
    ];
    const took: number[] = [];
    for (const way of ways) {
      const start = performance.now();
      await way();
      took.push(performance.now() - start);
    }
    return took;
  }
}

const grains = [Diary];
const simulated = (story: (cluster: SimulatedCluster) => Promise<void>, seed = 1) =>
  simulate({ seed, grains }, story);

async function fromInside<T>(story: (cluster: SimulatedCluster) => Promise<T>, seed = 1): Promise<T> {
  let result: { value: T } | undefined;
  await simulated(async (cluster) => {
    result = { value: await story(cluster) };
  }, seed);
  return (result as { value: T }).value;
}

describe('inside, time and chance are the seed’s', () => {
  test('in a grain', async () => {
    const inGrain = (cluster: SimulatedCluster) => cluster.grain(Diary, 'x').draw();
    const one = await fromInside(inGrain);
    expect(one).toContain('2030-01-01T00:00:0');
    expect(await fromInside(inGrain)).toBe(one);
    expect(await fromInside(inGrain, 2)).not.toBe(one);
  });

  test('in the story', async () => {
    const one = await fromInside(drawn);
    expect(one[0]).toBeGreaterThanOrEqual(Date.UTC(2030, 0, 1));
    expect(await fromInside(drawn)).toEqual(one);
    const two = await fromInside(drawn, 2);
    expect(two.slice(6).filter((value, i) => String(value) === String(one[i + 6]))).toEqual([]);
  });

  test('and no draw is like the one before', async () => {
    const [one, two] = await fromInside(async () => [await drawn(), await drawn()]);
    const chance = (draws: readonly unknown[]) => draws.slice(6).map(String);
    expect(chance(one as unknown[]).filter((value) => chance(two as unknown[]).includes(value))).toEqual([]);
  });

  test('however one waits; and waiting takes no real time', async () => {
    const start = performance.now();
    const took = await fromInside((cluster) => cluster.grain(Diary, 'x').waits());
    for (const ms of took) {
      expect(ms).toBeGreaterThanOrEqual(70);
      expect(ms).toBeLessThan(72);
    }
    await simulated((cluster) => cluster.sleep(30 * 60_000));
    expect(performance.now() - start).toBeLessThan(20_000);
  });

  test('a timer that is cleared does not fire, by whatever name it was set', async () => {
    const fired: string[] = [];
    await simulated(async (cluster) => {
      const timers = [
        setTimeout(() => fired.push('cleared'), 10),
        setInterval(() => fired.push('cleared'), 10),
      ];
      const immediate = setImmediate(() => fired.push('cleared'));
      const kept = setTimeout(() => fired.push('kept'), 10);
      for (const timer of timers) clearTimeout(timer);
      clearImmediate(immediate);
      clearTimeout(undefined);
      kept.refresh();
      await cluster.sleep(100);
    });
    expect(fired).toEqual(['kept']);
  });

  test('an interval fires until it is cleared, an immediate before any timer', async () => {
    const fired: string[] = [];
    await simulated(async (cluster) => {
      setTimeout((name: string) => fired.push(name), 0, 'timeout');
      setImmediate((name: string) => fired.push(name), 'immediate');
      const interval = setInterval(() => fired.push('interval'), 10);
      await cluster.sleep(35);
      clearInterval(interval);
      await cluster.sleep(100);
    });
    expect(fired).toEqual(['immediate', 'timeout', 'interval', 'interval', 'interval']);
  });

  test('a date is a date: it travels, is stored, and is an instance of what it was before', async () => {
    const { begun, again } = await fromInside(async (cluster) => {
      const begun = await cluster.grain(Diary, 'x').begin();
      const [{ silo } = { silo: '' }] = cluster.activationsOf(Diary, 'x');
      await cluster.stop(silo);
      return { begun, again: await cluster.grain(Diary, 'x').begin() };
    });
    expect(begun).toBeInstanceOf(Date);
    expect(begun.constructor).toBe(Date);
    expect(begun.getUTCFullYear()).toBe(2030);
    expect(again).toEqual(begun);
    await simulated(async () => {
      class Birthday extends Date {}
      const birthday = new Birthday(2000, 1, 1);
      const checks = [birthday instanceof Birthday, birthday instanceof Date, new Date() instanceof Birthday];
      expect(checks).toEqual([true, true, false]);
      expect([new Date().constructor, begun.constructor]).toEqual([Date, Date]);
      expect(new Date(2000, 1, 1).getTime()).toBe(birthday.getTime());
      expect(Date.UTC(2000, 1)).toBe(949_363_200_000);
    });
  });
});

describe('outside, time and chance are those of the machine', () => {
  const owners = [globalThis, Date, Math, performance, process, crypto, nodeCrypto, AbortSignal] as object[];
  const everything = () =>
    owners.map((owner) =>
      Object.fromEntries(Object.getOwnPropertyNames(owner).map((name) => [name, read(owner, name)])),
    );
  const read = (owner: object, name: string) =>
    Object.getOwnPropertyDescriptor(owner, name)?.value as unknown;

  test('before and after, also when the story fails', async () => {
    const before = everything();
    const imported = [randomUUID, randomBytes, namedSetTimeout, sleepPromised];
    await simulated(async () => {});
    expect(everything()).toEqual(before);
    await simulated(() => Promise.reject(new Error('no'))).catch(() => {});
    await Promise.allSettled([simulated(async () => {}), simulated(() => Promise.reject(new Error('no')))]);
    const after = everything();
    for (const [i, names] of before.entries()) {
      for (const [name, value] of Object.entries(names)) expect(after[i]?.[name], name).toBe(value);
    }
    expect([randomUUID, randomBytes, namedSetTimeout, sleepPromised]).toEqual(imported);
    expect(Object.getOwnPropertyNames(crypto)).not.toContain('randomUUID');
    expect(new Date().constructor).toBe(Date);
  });

  test('also while a simulation runs', async () => {
    const real = performance.now();
    const wall = Date.now();
    const running = simulated((cluster) => cluster.sleep(60_000));
    const values = [Math.random(), crypto.randomUUID(), randomUUID()];
    await new Promise((resolve) => setTimeout(resolve, 5));
    const waited = performance.now() - real;
    expect(Date.parse(new Date().toISOString()) - wall).toBeLessThan(60_000);
    expect(Date.now() - wall).toBeGreaterThanOrEqual(3);
    await running;
    expect(waited).toBeGreaterThanOrEqual(4);
    const again = simulated((cluster) => cluster.sleep(60_000));
    expect([Math.random(), crypto.randomUUID(), randomUUID()]).not.toEqual(values);
    await again;
  });

  test('in a store, so that one with I/O and timers of its own answers; the run is the same', async () => {
    const inner = memory();
    const slow: GrainStore = {
      open: () => inner.open(),
      read: (id) => pause().then(() => inner.read(id)),
      write: (id, data, etag) => pause().then(() => inner.write(id, data, etag)),
      clear: (id, etag) => inner.clear(id, etag),
      close: () => inner.close(),
    };
    const pause = () => new Promise((resolve) => setTimeout(resolve, 20));
    const story = async (cluster: SimulatedCluster) => void (await cluster.grain(Diary, 'x').begin());
    const start = performance.now();
    const report = await simulate({ seed: 1, grains, stores: { default: slow } }, story);
    expect(performance.now() - start).toBeGreaterThanOrEqual(38);
    expect(report).toEqual(await simulate({ seed: 1, grains }, story));
  });

  test('a timer from outside can be cleared inside, and does not fire', async () => {
    let ticks = 0;
    const interval = setInterval(() => ticks++, 1);
    let cleared = 0;
    await simulated(async () => {
      clearInterval(interval);
      cleared = ticks;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(ticks).toBe(cleared);
  });
});
