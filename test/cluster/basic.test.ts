import { Grain, grain, method, state } from 'granary';
import { TestCluster } from 'granary/testing';
import { expect, test } from 'vitest';

@grain()
class Counter extends Grain {
  @state() count = 0;

  @method()
  async increment(by = 1): Promise<number> {
    this.count += by;
    await this.save();
    return this.count;
  }

  @method({ readOnly: true })
  async where(): Promise<string> {
    return this.context.silo;
  }
}

test('grains are spread over silos and survive crash, stop and join', async () => {
  await using cluster = await TestCluster.start({ grains: [Counter] });
  const keys = Array.from({ length: 60 }, (_, i) => `k${i}`);
  const all = () => Promise.all(keys.map((k) => cluster.grain(Counter, k).increment()));
  expect(new Set(await all())).toEqual(new Set([1]));
  const places = new Set(await Promise.all(keys.map((k) => cluster.grain(Counter, k).where())));
  expect(places.size).toBe(3);
  cluster.crash('c');
  expect(new Set(await all())).toEqual(new Set([2]));
  await cluster.settled();
  await cluster.start('d');
  expect(new Set(await all())).toEqual(new Set([3]));
  await cluster.stop('b');
  expect(new Set(await all())).toEqual(new Set([4]));
  await cluster.settled();
  for (const k of keys) expect(cluster.activationsOf(Counter, k)).toHaveLength(1);
});

test('both sides of a split serve, and one activation is left after the heal', async () => {
  await using cluster = await TestCluster.start({ grains: [Counter] });
  const keys = Array.from({ length: 30 }, (_, i) => `k${i}`);
  for (const k of keys) await cluster.grain(Counter, k).increment();
  cluster.partition(['a', 'b'], ['c']);
  await cluster.settled();
  for (const k of keys) expect(await cluster.grain(Counter, k).increment()).toBe(2);
  for (const k of keys) await cluster.silo('c').grain(Counter, k).where();
  cluster.heal();
  await cluster.settled();
  for (const k of keys) {
    expect(await cluster.grain(Counter, k).increment()).toBe(3);
    expect(cluster.activationsOf(Counter, k)).toHaveLength(1);
  }
});
