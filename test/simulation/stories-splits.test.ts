import { type SimulatedCluster, simulate } from 'granary/testing';
import { expect, test } from 'vitest';
import { runtimeOf } from '../../framework/silo.ts';
import { seeds } from '../support/seeds.ts';
import {
  Account,
  type Caller,
  CONVERGES_MS,
  callersOf,
  drawWeather,
  entriesOf,
  expectOne,
  Guest,
  grains,
  keys,
  Ledger,
  msToConverge,
  Session,
} from './accounts.ts';

const all = keys(10);
const silos = ['a', 'b', 'c', 'd', 'e'];
const impatient = { callTimeoutMs: 2_000 };

/** The silos in so many parts, of the seed's choice. */
function drawParts(cluster: SimulatedCluster, count: number): string[][] {
  const names = cluster.random.shuffled(cluster.names);
  const parts = Array.from({ length: count }, () => [names.pop() as string]);
  for (const name of names) cluster.random.pick(parts).push(name);
  return parts;
}

/** Cuts every part off from every other; the client stays with the first. */
function split(cluster: SimulatedCluster, parts: readonly (readonly string[])[]): void {
  for (const [i, part] of parts.entries()) {
    const others = parts.slice(i + 1).flat();
    if (others.length > 0) cluster.partition(part, others);
  }
}

/** Some silo of a part. */
function someOf(cluster: SimulatedCluster, part: readonly string[]): Caller {
  return cluster.silo(cluster.random.pick(part));
}

/** Calls guests from some silo of each part: they live there, mostly away from where the ring wants them. */
async function inviteGuests(
  cluster: SimulatedCluster,
  parts: readonly (readonly string[])[],
  share = 1,
): Promise<void> {
  for (const key of all) {
    for (const part of parts) {
      if (cluster.random.chance(share)) await someOf(cluster, part).grain(Guest, key).whoAmI();
    }
  }
}

/** What was told is so, and there is one of each account. */
async function expectInOrder(cluster: SimulatedCluster, ledger: Ledger): Promise<void> {
  await cluster.settled();
  await ledger.expectKept(cluster);
  for (const key of all) await expectOne(cluster, Account, key);
}

const partsAndSeeds = [2, 3].flatMap((parts) => seeds(5).map((seed) => ({ parts, seed })));

test.each(partsAndSeeds)(
  'in $parts parts each part serves, and after the heal there is one of each grain (seed $seed)',
  async ({ parts: count, seed }) => {
    await simulate({ seed, silos, grains }, async (cluster) => {
      drawWeather(cluster);
      for (const key of all) await cluster.grain(Account, key).add('before');
      const parts = drawParts(cluster, count);
      split(cluster, parts);
      await cluster.settled();
      for (const type of [Account, Session] as const) {
        for (const key of all) {
          const ids = await Promise.all(
            parts.map((part) =>
              Promise.all(
                callersOf(cluster, part).map((silo) => silo.grain<Account | Session>(type, key).whoAmI()),
              ),
            ),
          );
          for (const within of ids) expect(new Set(within).size, key).toBe(1);
          expect(new Set(ids.flat()).size, key).toBe(count);
        }
      }
      cluster.heal();
      expect(await msToConverge(cluster, [Account, Session], all)).toBeLessThan(CONVERGES_MS);
      for (const key of all) {
        await expectOne(cluster, Account, key);
        await expectOne(cluster, Session, key);
        expect(await cluster.grain(Account, key).read()).toEqual(['before']);
      }
    });
  },
);

test.each(seeds(5))(
  'what either side acknowledged is there after the heal, and nothing else (seed %i)',
  async (seed) => {
    await simulate({ seed, silos, grains, options: impatient }, async (cluster) => {
      drawWeather(cluster);
      const { random } = cluster;
      const ledger = new Ledger();
      const load = ledger.startLoad(cluster, [cluster, ...callersOf(cluster)], all);
      await cluster.sleep(random.between(100, 500));
      split(cluster, drawParts(cluster, 2));
      await cluster.sleep(random.between(200, 6_000));
      cluster.heal();
      await cluster.sleep(random.between(0, 1_000));
      await load.stop();
      await expectInOrder(cluster, ledger);
    });
  },
);

test.each(seeds(5))(
  'of writes on both sides the first is kept, the other is told of the conflict, and all read it (seed %i)',
  async (seed) => {
    await simulate({ seed, silos, grains }, async (cluster) => {
      drawWeather(cluster);
      const ledger = new Ledger();
      for (const key of all) await ledger.add(cluster, key);
      const parts = drawParts(cluster, 2);
      split(cluster, parts);
      await cluster.settled();
      for (const key of all) {
        for (const part of parts) await ledger.read(someOf(cluster, part), key);
        const [first, second] = cluster.random.shuffled(parts) as [string[], string[]];
        expect(await ledger.add(someOf(cluster, first), key)).toBeUndefined();
        expect(await ledger.add(someOf(cluster, second), key)).toBe('STATE_CONFLICT');
        // Now the second has what is stored, and the first has not.
        expect(await ledger.add(someOf(cluster, second), key)).toBeUndefined();
        expect(await ledger.add(someOf(cluster, first), key)).toBe('STATE_CONFLICT');
        // Which of the two will have an old state in memory is left to chance.
        if (cluster.random.chance(0.5)) await ledger.add(someOf(cluster, first), key);
      }
      cluster.heal();
      await cluster.settled();
      for (const key of all) {
        const seen = await Promise.all(
          [cluster, ...callersOf(cluster)].map((each) => ledger.read(each, key)),
        );
        for (const entries of seen) expect(entries).toEqual(ledger.acknowledged(key));
      }
    });
  },
);

test.each(seeds(5))(
  'calls on both sides are answered, those that wait for the loser by the winner (seed %i)',
  async (seed) => {
    await simulate({ seed, silos, grains }, async (cluster) => {
      drawWeather(cluster);
      const parts = drawParts(cluster, 2);
      split(cluster, parts);
      await cluster.settled();
      const queues = parts.map((part) => {
        const caller = someOf(cluster, part);
        return Promise.all(Array.from({ length: 12 }, () => caller.grain(Session, 'x').work(400)));
      });
      await cluster.sleep(300);
      cluster.heal();
      const answeredBy = await Promise.all(queues);
      const [winner] = cluster.activationsOf(Session, 'x');
      const first = answeredBy.map((ids) => ids[0]);
      expect(new Set(first).size).toBe(2);
      expect(first).toContain(winner?.activationId);
      for (const ids of answeredBy) expect(ids.at(-1)).toBe(winner?.activationId);
    });
  },
);

test.each(seeds(5))(
  'an activation that ended during a split leaves no entry behind, on either side (seed %i)',
  async (seed) => {
    await simulate({ seed, silos, grains }, async (cluster) => {
      drawWeather(cluster);
      await inviteGuests(cluster, [silos]);
      const parts = drawParts(cluster, 2);
      split(cluster, parts);
      await cluster.settled();
      await inviteGuests(cluster, parts, 0.7);
      for (const key of all) for (const part of parts) await someOf(cluster, part).grain(Guest, key).end();
      cluster.heal();
      await cluster.settled();
      for (const key of all) {
        expect(cluster.activationsOf(Guest, key)).toEqual([]);
        expect(entriesOf(cluster, Guest, key)).toEqual([]);
      }
    });
  },
);

const waysToGo = ['stop', 'crash', 'vanish'] as const;

test.each(waysToGo.flatMap((way) => seeds(3).map((seed) => ({ way, seed }))))(
  'a silo that went ($way) during a split is in no directory after the heal (seed $seed)',
  async ({ way, seed }) => {
    await simulate({ seed, silos, grains }, async (cluster) => {
      drawWeather(cluster);
      const { random } = cluster;
      await inviteGuests(cluster, [silos]);
      const parts = drawParts(cluster, 2);
      split(cluster, parts);
      await cluster.sleep(random.between(0, 5_000));
      // Calls that meet the cut wait until the split is known.
      await inviteGuests(cluster, parts);
      const goes = random.pick(silos);
      const { address } = runtimeOf(cluster.silo(goes)).node;
      await cluster[way](goes);
      await cluster.sleep(random.between(0, 1_000));
      cluster.heal();
      await cluster.settled();
      for (const key of all) {
        expect(entriesOf(cluster, Guest, key).filter((entry) => entry.includes(address))).toEqual([]);
        await expectOne(cluster, Guest, key);
      }
    });
  },
);

const cuts: Record<string, (cluster: SimulatedCluster, some: string[], others: string[]) => void> = {
  'one side hears the other and is not heard': (cluster, some, others) =>
    cluster.partitionOneWay(some, others),
  'the network tells that nobody is there': (cluster, some, others) =>
    cluster.partitionLoudly(['client', ...some], others),
  'two silos do not reach each other, all others do': (cluster, [one], [other]) => {
    cluster.partitionOneWay([one as string], [other as string]);
    cluster.partitionOneWay([other as string], [one as string]);
  },
};

test.each(Object.keys(cuts).flatMap((cut) => seeds(4).map((seed) => ({ cut, seed }))))(
  '$cut: nothing is lost, and after the heal there is one of each grain (seed $seed)',
  async ({ cut, seed }) => {
    await simulate({ seed, silos, grains, options: impatient }, async (cluster) => {
      drawWeather(cluster);
      const { random } = cluster;
      const ledger = new Ledger();
      const load = ledger.startLoad(cluster, [cluster, ...callersOf(cluster)], all);
      await cluster.sleep(random.between(100, 500));
      const [some, others] = drawParts(cluster, 2) as [string[], string[]];
      cuts[cut]?.(cluster, some, others);
      await cluster.sleep(random.between(500, 8_000));
      cluster.heal();
      expect(await msToConverge(cluster, [Account], all)).toBeLessThan(CONVERGES_MS);
      await load.stop();
      await expectInOrder(cluster, ledger);
    });
  },
);
