import { type EventMeta, Grain, grain, method, subscribe } from 'granary';
import { TestCluster } from 'granary/testing';
import { expect, test, vi } from 'vitest';

@grain()
class Basket extends Grain {
  readonly seen: { event: unknown; meta: EventMeta }[] = [];

  @subscribe('orders')
  async ordered(event: unknown, meta: EventMeta): Promise<void> {
    this.seen.push({ event, meta });
  }

  @method()
  async events(): Promise<unknown[]> {
    return this.seen.map(({ event }) => event);
  }
}

test('an event is handled by the grain of its key', async () => {
  await using cluster = await TestCluster.start({ grains: [Basket] });
  for (let n = 0; n < 50; n++) await cluster.silo('a').publish('orders', `k${n % 5}`, n);
  await vi.waitFor(async () => {
    expect(await cluster.grain(Basket, 'k3').events()).toEqual([3, 8, 13, 18, 23, 28, 33, 38, 43, 48]);
  });
  await vi.waitFor(async () => {
    const lag = await cluster.silo('b').topics.lag();
    expect(lag).toEqual([
      { topic: 'orders', subscriber: 'Basket', events: 0, underWay: 0, shards: 16, ofShards: 16 },
    ]);
  });
  const read: unknown[] = [];
  for await (const { event } of cluster.silo('c').topics.read('orders', { key: 'k1' })) read.push(event);
  expect(read).toEqual([1, 6, 11, 16, 21, 26, 31, 36, 41, 46]);
});
