import { Grain, grain, method } from 'granary';
import { type SimulatedCluster, simulate } from 'granary/testing';
import { expect, test } from 'vitest';
import { seeds } from '../support/seeds.ts';

@grain()
class Depot extends Grain {
  #taken: number[] = [];

  @method()
  async take(number: number, _bytes: Uint8Array): Promise<void> {
    this.#taken.push(number);
  }

  @method({ idempotent: true })
  async taken(): Promise<number[]> {
    return this.#taken;
  }

  @method()
  async *items(sizes: readonly number[]): AsyncGenerator<Uint8Array> {
    for (const [index, size] of sizes.entries()) yield new Uint8Array(size).fill(index);
  }
}

const grains = [Depot];

/** A network that loses, repeats and overtakes. */
function drawBadNetwork(cluster: SimulatedCluster): void {
  const draw = () => cluster.random.between(0.05, 0.2);
  cluster.setNetwork({ latencyMs: 1, jitterMs: 2, loss: draw(), duplication: draw(), reordering: draw() });
}

test.each(seeds(8))(
  'large calls to one grain run once each, in the order sent, on a network as bad as can be (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: 1, grains }, async (cluster) => {
      const depot = cluster.grain(Depot, 'calls');
      await depot.taken();
      drawBadNetwork(cluster);
      const numbers = Array.from({ length: 12 }, (_, n) => n);
      // The first is large; what follows while it is under way is held back behind it, small or large.
      const calls = numbers.map((n) =>
        depot.$with({ timeoutMs: 60_000 }).take(n, new Uint8Array(n % 3 === 1 ? 10 : 100_000)),
      );
      await Promise.allSettled(calls); // an answer may be lost
      cluster.setNetwork({ latencyMs: 1, jitterMs: 0, loss: 0, duplication: 0, reordering: 0 });
      expect(await depot.taken()).toEqual(numbers);
    });
  },
);

test.each(seeds(8))(
  'a stream of large and small items has all of them, in order, on such a network (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: 1, grains }, async (cluster) => {
      const depot = cluster.grain(Depot, 'items');
      await depot.taken();
      const sizes = Array.from({ length: 25 }, (_, i) => [10, 40_000, 300_000, 1_200_000][i % 4] as number);
      const stream = depot.items(sizes);
      let count = 0;
      for (let next = await stream.next(); !next.done; next = await stream.next()) {
        if (count === 0) drawBadNetwork(cluster);
        const item = next.value;
        expect([item.length, item[0], item.at(-1)]).toEqual([sizes[count], count, count]);
        count++;
      }
      expect(count).toBe(sizes.length);
    });
  },
);
