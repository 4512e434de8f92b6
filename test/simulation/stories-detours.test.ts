import { type SimulatedCluster, simulate } from 'granary/testing';
import { expect, test } from 'vitest';
import { seeds } from '../support/seeds.ts';
import { Account, keys } from './accounts.ts';

/**
 * Two silos do not reach each other, while all others reach both: a broken route between two of three NATS
 * servers, say. What they have to tell each other goes by way of a third.
 */
const cuts: Readonly<Record<string, (cluster: SimulatedCluster, one: string, other: string) => void>> = {
  silently: (cluster, one, other) => {
    cluster.partitionOneWay([one], [other]);
    cluster.partitionOneWay([other], [one]);
  },
  'and know it': (cluster, one, other) => cluster.partitionLoudly([one], [other]),
  'one way': (cluster, one, other) => cluster.partitionOneWay([one], [other]),
};

test.each(Object.keys(cuts).flatMap((cut) => seeds(4).map((seed) => ({ cut, seed }))))(
  'two silos cannot reach each other, $cut: all grains are served, and silos join and leave (seed $seed)',
  async ({ cut, seed }) => {
    await simulate({ seed, silos: 5, grains: [Account] }, async (cluster) => {
      const [one, other] = cluster.random.shuffled(cluster.names) as [string, string];
      const suspected: string[] = [];
      cluster.subscribe((silo, event) => {
        if (event.type === 'siloSuspected') suspected.push(`${silo} suspects ${event.silo}`);
      });
      cuts[cut]?.(cluster, one, other);
      for (let round = 0; round < 5; round++) {
        for (const key of keys(40)) await cluster.grain(Account, key).add(`${round}`);
        await cluster.sleep(3_000);
      }
      expect(suspected).toEqual([]);
      const before = cluster.now;
      await cluster.start('f');
      await cluster.stop(cluster.names.find((name) => ![one, other, 'f'].includes(name)) as string);
      expect(cluster.now - before).toBeLessThan(1_000);
      for (const key of keys(40)) expect(await cluster.grain(Account, key).read()).toHaveLength(5);
    });
  },
);

test.each(seeds(4))('a silo that nobody reaches is still found gone at once (seed %i)', async (seed) => {
  await simulate({ seed, silos: 5, grains: [Account] }, async (cluster) => {
    const [gone] = cluster.names as [string];
    cluster.crash(gone);
    const before = cluster.now;
    await cluster.settled();
    expect(cluster.now - before).toBeLessThan(500);
  });
});

test.each(seeds(4))(
  'silos that all start again during a split find the others after it (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: ['a', 'b', 'c', 'd'], grains: [Account] }, async (cluster) => {
      await cluster.grain(Account, 'x').add('before');
      cluster.partition(['a', 'b'], ['c', 'd']);
      await cluster.sleep(3_000);
      for (const name of ['c', 'd']) cluster.crash(name);
      for (const name of ['c', 'd']) await cluster.start(name);
      await cluster.sleep(3_000);
      const healedAt = cluster.now;
      cluster.heal();
      await cluster.settled();
      expect(cluster.now - healedAt).toBeLessThan(10_000);
      for (const name of cluster.names) {
        expect(await cluster.silo(name).grain(Account, 'x').read()).toEqual(['before']);
      }
    });
  },
);
