import { Grain, grain, method } from 'granary';
import { TestCluster } from 'granary/testing';
import { expect, test, vi } from 'vitest';

const heard: number[] = [];
let gate: Promise<void> | undefined;
let log: string[] = [];

@grain()
class Ear extends Grain {
  @method()
  async hear(n: number): Promise<void> {
    heard.push(n);
  }
}

@grain({ placement: { workers: 1 }, idleMs: 40 })
class Tool extends Grain {
  @method()
  async work(): Promise<string> {
    log.push('work');
    await gate;
    return this.context.silo;
  }
  override async onDeactivate(reason: string): Promise<void> {
    log.push(reason);
  }
}

@grain()
class Slow extends Grain {
  override async onActivate(): Promise<void> {
    log.push(`up ${this.context.silo}`);
    await gate;
    log.push(`ready ${this.context.silo}`);
  }
  override async onDeactivate(): Promise<void> {
    log.push(`down ${this.context.silo}`);
  }
  @method()
  async where(): Promise<string> {
    return this.context.silo;
  }
}

test('calls keep their order while there is no connection, as those behind them do', async () => {
  await using cluster = await TestCluster.start({ grains: [Ear] });
  await cluster.grain(Ear, 'x').hear(-1);
  heard.length = 0;
  cluster.network.disconnect(cluster.client.address);
  const calls = Array.from({ length: 20 }, (_, n) => cluster.grain(Ear, 'x').hear(n));
  let retries = 0;
  const enough = new Promise<void>((resolve) => {
    cluster.client.subscribe((event) => {
      if (event.type === 'callRetried' && ++retries === 60) resolve();
    });
  });
  await enough;
  cluster.network.reconnect(cluster.client.address);
  calls.push(cluster.grain(Ear, 'x').hear(20));
  await Promise.all(calls);
  expect(heard).toEqual(Array.from({ length: 21 }, (_, i) => i));
});

test('calls that waited for a new era are not passed on to the silo that it is without', async () => {
  await using cluster = await TestCluster.start({ grains: [Ear] });
  const dead: string[] = [];
  const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);
  await Promise.all(keys.map((k) => cluster.silo('a').grain(Ear, k).hear(0)));
  cluster.subscribe((_silo, event) => {
    if (event.type === 'callForwarded' && event.to.startsWith('c~')) dead.push(event.grain);
  });
  cluster.crash('c');
  await Promise.all(keys.map((k) => cluster.silo('a').grain(Ear, k).hear(0)));
  expect(dead).toEqual([]);
});

test('idle workers are collected, and calls that wait for one do not hold up a stop', async () => {
  await using cluster = await TestCluster.start({ silos: ['a', 'b'], grains: [Tool] });
  log = [];
  await cluster.silo('a').grain(Tool, 'x').work();
  await vi.waitFor(() => expect(log).toEqual(['work', 'idle']));
  let open = () => {};
  gate = new Promise((r) => {
    open = r;
  });
  const work = [1, 2, 3].map(() =>
    cluster
      .silo('a')
      .grain(Tool, 'y')
      .work()
      .catch((e) => e.code),
  );
  await vi.waitFor(() => expect(log.length).toBe(3));
  const began = performance.now();
  const stopped = cluster.stop('a');
  await new Promise((r) => setTimeout(r, 50));
  open();
  gate = undefined;
  await stopped;
  expect(performance.now() - began).toBeLessThan(3000);
  expect(await Promise.all(work)).toEqual(['a', 'a', 'a']);
  expect(log.filter((entry) => entry === 'work').length).toBe(4);
});

test('no activation begins beside an onActivate that still runs', async () => {
  log = [];
  await using cluster = await TestCluster.start({ silos: ['a', 'b'], grains: [Slow] });
  let open = () => {};
  gate = new Promise((r) => {
    open = r;
  });
  const calls = Array.from({ length: 8 }, (_, k) => cluster.grain(Slow, `k${k}`).where());
  await vi.waitFor(() => expect(log.length).toBe(8));
  expect(log).toContain('up a');
  const stopped = cluster.stop('a');
  await new Promise((r) => setTimeout(r, 100));
  expect(log.length).toBe(8);
  open();
  gate = undefined;
  await stopped;
  expect(new Set(await Promise.all(calls))).toEqual(new Set(['b']));
  expect(log.filter((e) => e === 'down a').length).toBe(log.filter((e) => e === 'up a').length);
});

test('a silo joins one with thousands of grains whose keys are long', async () => {
  await using cluster = await TestCluster.start({ silos: ['a'], grains: [Ear] });
  const pad = 'x'.repeat(500);
  for (let i = 0; i < 8; i++)
    await Promise.all(Array.from({ length: 1000 }, (_, n) => cluster.grain(Ear, `${pad}${i}-${n}`).hear(0)));
  await cluster.start('b');
  await cluster.settled();
}, 60_000);
