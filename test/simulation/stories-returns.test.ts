import { Grain, grain, method, state } from 'granary';
import { type SimulatedCluster, simulate } from 'granary/testing';
import { describe, expect, test } from 'vitest';
import { seeds } from '../support/seeds.ts';

@grain({ placement: 'preferLocal' })
class Ledger extends Grain {
  @state() count = 0;

  /** One turn, which saves at its end, and is the activation's last. */
  @method()
  async addSlowly(ms: number): Promise<number> {
    this.count++;
    await new Promise((resolve) => setTimeout(resolve, ms));
    await this.save();
    this.context.deactivate();
    return this.count;
  }

  @method({ readOnly: true })
  async read(): Promise<number> {
    return this.count;
  }
}

const TROUBLE_MS = 4_000;
/** How long it may take until all have settled with the silo that returns. */
const RETURN_MS = 600;

const troubles: readonly [
  string,
  (cluster: SimulatedCluster) => void,
  (cluster: SimulatedCluster) => void,
][] = [
  [
    'cannot be heard',
    (cluster) => cluster.partitionOneWay(['b'], ['a', 'c', 'client']),
    (cluster) => cluster.heal(),
  ],
  ['is frozen', (cluster) => cluster.pause('b'), (cluster) => cluster.resume('b')],
];

// A turn of the silo that returns saved after the others had compared what they held with the store, and its
// activation ended before anybody saw that there were two: the other one kept the older state for ever.
describe.each(troubles)(
  'a silo that %s is taken for gone, and returns while its turns end',
  (_, begin, end) => {
    test.each(seeds(5))('what they save is read afterwards: seed %i', async (seed) => {
      const options = { partitions: 16, callTimeoutMs: 30_000 };
      await simulate({ seed, silos: ['a', 'b', 'c'], grains: [Ledger], options }, async (cluster) => {
        const { random } = cluster;
        cluster.setNetwork({ latencyMs: random.logarithmic(0.2, 10), jitterMs: random.logarithmic(0.2, 10) });
        const keys = Array.from({ length: 20 }, (_, key) => key);
        const readAll = () => Promise.allSettled(keys.map((key) => cluster.grain(Ledger, key).read()));
        const additions = keys.map((key) =>
          cluster
            .silo('b')
            .grain(Ledger, key)
            .addSlowly(TROUBLE_MS + random.between(0, RETURN_MS)),
        );
        await cluster.sleep(30);
        begin(cluster);
        const reading = (async () => {
          while (cluster.now < TROUBLE_MS + RETURN_MS) await Promise.race([readAll(), cluster.sleep(5)]);
        })();
        await cluster.sleep(TROUBLE_MS);
        end(cluster);
        const added = await Promise.allSettled(additions);
        await reading;
        cluster.calm();
        await cluster.settled();
        for (const [key, addition] of added.entries()) {
          const saved = addition.status === 'fulfilled' ? addition.value : 0;
          expect([0, 1]).toContain(saved);
          if (saved > 0) expect(await cluster.grain(Ledger, key).read()).toBe(saved);
        }
      });
    });
  },
);

describe('a silo that is leaving is taken for gone, and refutes it', () => {
  test.each(seeds(3))('what it still does is waited for: seed %i', async (seed) => {
    const options = { partitions: 16, drainMs: 10_000 };
    await simulate({ seed, silos: ['a', 'b', 'c'], grains: [Ledger], options }, async (cluster) => {
      await cluster.silo('b').grain(Ledger, 'x').read();
      const added = cluster.grain(Ledger, 'x').addSlowly(5_000);
      await cluster.sleep(30);
      const stopped = cluster.stop('b');
      await cluster.sleep(30);
      cluster.partitionOneWay(['b'], ['a', 'c']);
      const suspected: string[] = [];
      cluster.subscribe((_, event) => {
        if (event.type === 'siloSuspected') suspected.push(event.silo);
      });
      await cluster.sleep(2_600);
      expect(suspected.map((silo) => silo[0])).toContain('b');
      cluster.heal();
      expect(await added).toBe(1);
      await stopped;
    });
  });
});

@grain()
class Plain extends Grain {
  @method({ readOnly: true })
  async whoAmI(): Promise<string> {
    return this.context.activationId;
  }
}

// The first of several losers to go ended the conflict; if the others had not heard by then, they never did.
describe('a grain that four silos had each for itself is active once when they meet on a bad network', () => {
  test.each([...seeds(3), 4, 6, 9])('seed %i', async (seed) => {
    const options = { partitions: 16 };
    await simulate({ seed, silos: ['a', 'b', 'c', 'd'], grains: [Plain], options }, async (cluster) => {
      const { names, random } = cluster;
      for (const name of names) {
        cluster.partition(
          [name],
          names.filter((other) => other !== name),
        );
      }
      await cluster.sleep(5_000);
      const keys = Array.from({ length: 20 }, (_, key) => key);
      for (const name of names) for (const key of keys) await cluster.silo(name).grain(Plain, key).whoAmI();
      cluster.setNetwork({ loss: random.between(0, 0.5) });
      cluster.heal();
      await cluster.sleep(random.between(300, 3_000));
      cluster.setNetwork({ loss: 0 });
      await cluster.settled(30_000);
      await cluster.sleep(3_000);
      for (const key of keys) expect(cluster.activationsOf(Plain, key).length).toBeLessThanOrEqual(1);
    });
  });
});
