import { Grain, grain, inProcess, method, Silo } from 'granary';
import { TestCluster } from 'granary/testing';
import { expect, test, vi } from 'vitest';
import { runtimeOf } from '../../framework/silo.ts';
import { systemClock } from '../../framework/system/clock.ts';

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

let choices: string[] = [];

@grain({ placement: { choose: () => choices.shift() ?? 'c' } })
class Placed extends Grain {
  @method()
  async where(): Promise<string> {
    return this.context.silo;
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

test('a silo that was ordered to activate a grain and says nothing yet is not passed over', async () => {
  await using cluster = await TestCluster.start({
    grains: [Placed],
    options: { detection: { heartbeatMs: 250, probeMs: 4_000, suspectMs: 5_000 } },
  });
  // A grain whose primary is a: its first choice is b, and any other choice would be c.
  const owner = runtimeOf(cluster.silo('a')).directory;
  const key = Array.from({ length: 100 }, (_, i) => `k${i}`).find((k) =>
    owner.primary(owner.partitionOf(`Placed/${k}`))?.startsWith('a~'),
  ) as string;
  choices = ['b'];
  const created: string[] = [];
  cluster.subscribe((silo, event) => {
    if (event.type === 'activationCreated') created.push(silo);
  });
  cluster.network.pause('b');
  const where = cluster.grain(Placed, key).where();
  await vi.waitFor(() => expect(runtimeOf(cluster.silo('a')).dispatcher.waiting).toBe(1));
  await new Promise((resolve) => systemClock.after(2_150, () => resolve(undefined)));
  await new Promise((resolve) => systemClock.after(150, () => resolve(undefined)));
  cluster.network.resume('b');
  await where;
  await cluster.silo('b').grain(Placed, key).where();
  await cluster.settled();
  expect(created).toHaveLength(1);
});

test('of two silos that start at once with one name, the later one starts', async () => {
  const transport = inProcess();
  let now = 1_000;
  const clock = { ...systemClock, wallNow: () => now++ };
  const start = () =>
    Silo.start({ cluster: 'twice', name: 'a', transport, grains: [Ear], log: 'silent', clock });
  const both = await Promise.allSettled([start(), start()]);
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  for (const each of both) if (each.status === 'fulfilled') await each.value.stop();
});
