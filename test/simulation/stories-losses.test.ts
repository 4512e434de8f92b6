import { type SimulatedCluster, simulate } from 'granary/testing';
import { expect, test } from 'vitest';
import { seeds } from '../support/seeds.ts';
import {
  Account,
  type Caller,
  CONVERGES_MS,
  callersOf,
  codeOf,
  drawWeather,
  expectOne,
  Guest,
  grains,
  keepersOf,
  keys,
  Ledger,
  msToConverge,
} from './accounts.ts';

const all = keys(10);
const six = ['a', 'b', 'c', 'd', 'e', 'f'];
const three = ['a', 'b', 'c'];

/** A guest that lives on none of the silos that keep its place. */
async function awayFromItsKeepers(
  cluster: SimulatedCluster,
  ledger: Ledger,
): Promise<{ key: string; home: string; id: string }> {
  const key = cluster.random.pick(all);
  const keepers = keepersOf(cluster, Guest, key);
  const home = cluster.random.pick(cluster.names.filter((name) => !keepers.includes(name)));
  await ledger.add(cluster.silo(home), key);
  expect(cluster.activationsOf(Guest, key)).toMatchObject([{ silo: home }]);
  return { key, home, id: await expectOne(cluster, Guest, key) };
}

/** Everybody calls, always. */
function startLoad(cluster: SimulatedCluster, ledger: Ledger): { stop(): Promise<void> } {
  return ledger.startLoad(cluster, [cluster, ...callersOf(cluster)], all);
}

/** What was told is so, there is one of each account, and every silo is there that was. */
async function expectInOrder(cluster: SimulatedCluster, ledger: Ledger, names: string[]): Promise<void> {
  await cluster.settled();
  expect([...cluster.names].sort()).toEqual(names);
  await ledger.expectKept(cluster);
  for (const key of all) await expectOne(cluster, Account, key);
}

const without = (names: readonly string[], name: string) => names.filter((each) => each !== name);
const livesOn = (cluster: SimulatedCluster, name: string) =>
  all.filter((key) => cluster.activationsOf(Account, key).some(({ silo }) => silo === name));

test.each(seeds(5))(
  'a grain that lives elsewhere is found when its primary, then each replica is lost (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: six, grains }, async (cluster) => {
      drawWeather(cluster);
      const ledger = new Ledger(Guest);
      const { key, home, id } = await awayFromItsKeepers(cluster, ledger);
      while (cluster.names.length > 2) {
        const lost = keepersOf(cluster, Guest, key, home).find((name) => name !== home) as string;
        if (cluster.random.chance(0.5)) cluster.crash(lost);
        else cluster.vanish(lost);
        await cluster.settled();
        expect(await expectOne(cluster, Guest, key)).toBe(id);
        expect(await ledger.add(cluster, key)).toBeUndefined();
      }
      cluster.crash(home);
      await cluster.settled();
      expect(await expectOne(cluster, Guest, key)).not.toBe(id);
      await ledger.expectKept(cluster);
    });
  },
);

test.each(seeds(5))(
  'a grain stays where it is when its primary and all replicas are lost within a moment (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: six, grains }, async (cluster) => {
      drawWeather(cluster);
      const ledger = new Ledger(Guest);
      const { key, home, id } = await awayFromItsKeepers(cluster, ledger);
      const keepers = keepersOf(cluster, Guest, key);
      const others = cluster.names.filter((name) => !keepers.includes(name));
      const load = ledger.startLoad(cluster, [cluster, ...callersOf(cluster, others)], [key]);
      await cluster.sleep(200);
      for (const name of keepers) {
        cluster.crash(name);
        await cluster.sleep(cluster.random.between(0, 400));
      }
      await cluster.settled();
      await load.stop();
      // All others know the way; one that is new has to ask.
      await cluster.start('g');
      expect(await cluster.silo('g').grain(Guest, key).whoAmI()).toBe(id);
      expect(await expectOne(cluster, Guest, key)).toBe(id);
      expect(cluster.activationsOf(Guest, key)).toMatchObject([{ silo: home }]);
      await ledger.expectKept(cluster);
    });
  },
);

test.each(seeds(5))(
  'a silo that was paused for 30 s takes no turn of what has changed meanwhile, and serves again (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: three, grains, options: { callTimeoutMs: 5_000 } }, async (cluster) => {
      drawWeather(cluster);
      const { random } = cluster;
      const ledger = new Ledger();
      const paused = random.pick(three);
      const others = callersOf(cluster, without(three, paused));
      const load = startLoad(cluster, ledger);
      for (const key of all) await ledger.add(cluster, key);
      const moved = livesOn(cluster, paused);
      const old = moved.flatMap((key) => cluster.activationsOf(Account, key));
      cluster.pause(paused);
      // Reads can be tried again: they are answered as soon as the silo is given up.
      const reads = moved.map((key) => codeOf(ledger.read(random.pick(others), key)));
      for (const read of reads) expect(await read).toBeUndefined();
      for (const key of moved) expect(await ledger.add(random.pick(others), key)).toBeUndefined();
      await cluster.sleep(30_000);

      const stale: string[] = [];
      cluster.subscribe((_silo, event) => {
        if (event.type !== 'turnStarted') return;
        if (old.some(({ activationId }) => activationId === event.activationId)) stale.push(event.grain);
      });
      cluster.resume(paused);
      expect(await msToConverge(cluster, [Account], all)).toBeLessThan(CONVERGES_MS);
      await load.stop();
      expect(stale).toEqual([]);
      await expectInOrder(cluster, ledger, three);
      for (const key of all) expect(await ledger.add(cluster.silo(paused), key)).toBeUndefined();
    });
  },
);

test.each(seeds(5))(
  'a silo paused in the middle of its writes loses nothing, and calls that wait there end (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: three, grains, options: { callTimeoutMs: 5_000 } }, async (cluster) => {
      cluster.setStores({ latencyMs: 50, jitterMs: 50 });
      const { random } = cluster;
      const ledger = new Ledger();
      const paused = random.pick(three);
      const others = callersOf(cluster, without(three, paused));
      for (const key of all) await ledger.add(cluster, key);
      const own = livesOn(cluster, paused);
      const from = [cluster.silo(paused), ...others];
      const waiting = own.flatMap((key) => from.map((caller) => ledger.add(caller, key)));
      await cluster.sleep(random.between(0, 150));
      cluster.pause(paused);
      await cluster.sleep(10_000);
      for (const key of own) expect(await ledger.add(random.pick(others), key)).toBeUndefined();
      await cluster.sleep(20_000);
      cluster.resume(paused);
      const ends = [undefined, 'STATE_CONFLICT', 'CALL_TIMEOUT', 'SILO_UNAVAILABLE'];
      for (const call of waiting) expect(ends).toContain(await call);
      await expectInOrder(cluster, ledger, three);
    });
  },
);

test.each(seeds(4))(
  'silos that are paused in turn, and overlap, all serve in the end (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: three, grains, options: { callTimeoutMs: 3_000 } }, async (cluster) => {
      drawWeather(cluster);
      const { random } = cluster;
      const ledger = new Ledger();
      const load = startLoad(cluster, ledger);
      const pauses = random.shuffled([...three, ...three]).map(async (name, i) => {
        await cluster.sleep(i * random.between(1_000, 6_000));
        cluster.pause(name);
        await cluster.sleep(random.between(500, 15_000));
        cluster.resume(name);
      });
      await Promise.all(pauses);
      expect(await msToConverge(cluster, [Account], all)).toBeLessThan(CONVERGES_MS);
      await load.stop();
      await expectInOrder(cluster, ledger, three);
    });
  },
);

test.each(seeds(5))(
  'a grain that lives elsewhere is the same one while its primary is paused, and after (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: six, grains }, async (cluster) => {
      drawWeather(cluster);
      const ledger = new Ledger(Guest);
      const { key, id } = await awayFromItsKeepers(cluster, ledger);
      const primary = keepersOf(cluster, Guest, key)[0] as string;
      cluster.pause(primary);
      const others: Caller[] = [cluster, ...callersOf(cluster, without(six, primary))];
      for (const caller of others) expect(await caller.grain(Guest, key).whoAmI()).toBe(id);
      await cluster.sleep(30_000);
      expect(await ledger.add(cluster, key)).toBeUndefined();
      cluster.resume(primary);
      expect(await cluster.silo(primary).grain(Guest, key).whoAmI()).toBe(id);
      await cluster.settled();
      expect(await expectOne(cluster, Guest, key)).toBe(id);
      await ledger.expectKept(cluster);
    });
  },
);

const unacknowledged = ['lostAnswers', 'errorsAfterWrite'] as const;

test.each(unacknowledged.flatMap((how) => seeds(4).map((seed) => ({ how, seed }))))(
  'a write that was stored and not acknowledged ($how) is told as unknown, and is there once (seed $seed)',
  async ({ how, seed }) => {
    await simulate({ seed, silos: three, grains }, async (cluster) => {
      drawWeather(cluster);
      const { random } = cluster;
      const ledger = new Ledger();
      for (const key of all) await ledger.add(cluster, key);
      const before = await Promise.all(all.map((key) => expectOne(cluster, Account, key)));
      cluster.setStores({ [how]: 1 });
      for (const [i, key] of all.entries()) {
        // The first one's activation ends; what waits for it goes to the next, which reads what is stored.
        const calls = [1, 2, 3].map(() => ledger.add(random.pick(callersOf(cluster)), key));
        expect(await Promise.all(calls)).toEqual(['STORE_FAILED', 'STORE_FAILED', 'STORE_FAILED']);
        expect(await expectOne(cluster, Account, key)).not.toBe(before[i]);
      }
      cluster.setStores({ [how]: 0 });
      for (const key of all) {
        expect(await ledger.read(cluster, key)).toHaveLength(4);
        expect(await ledger.add(cluster, key)).toBeUndefined();
        expect(await ledger.read(cluster, key)).toHaveLength(5);
      }
      await ledger.expectKept(cluster);
    });
  },
);

test.each(seeds(5))(
  'NATS is gone for 20 s: calls end by their deadline, then every grain answers again (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: three, grains, options: { callTimeoutMs: 5_000 } }, async (cluster) => {
      drawWeather(cluster);
      const { random } = cluster;
      const ledger = new Ledger();
      const load = startLoad(cluster, ledger);
      await cluster.sleep(500);
      cluster.disconnect();
      const codes = new Set(await Promise.all(all.map((key) => ledger.add(cluster, key))));
      for (const code of codes) expect(['CALL_TIMEOUT', 'SILO_UNAVAILABLE', 'NO_SILO']).toContain(code);
      await cluster.sleep(15_000);
      for (const name of random.shuffled(['client', ...three])) {
        await cluster.sleep(random.between(0, 1_500));
        cluster.reconnect(name);
      }
      expect(await msToConverge(cluster, [Account], all)).toBeLessThan(CONVERGES_MS);
      const reads = await Promise.all(all.map((key) => codeOf(cluster.grain(Account, key).read())));
      expect(new Set(reads)).toEqual(new Set([undefined]));
      await load.stop();
      await expectInOrder(cluster, ledger, three);
    });
  },
);

test.each(seeds(5))(
  'a node whose connection comes and goes stays, and nothing is lost (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: three, grains, options: { callTimeoutMs: 3_000 } }, async (cluster) => {
      drawWeather(cluster);
      const { random } = cluster;
      const ledger = new Ledger();
      const load = startLoad(cluster, ledger);
      const flapping = random.pick([...three, 'client']);
      for (let i = 0; i < 10; i++) {
        await cluster.sleep(random.exponential(400));
        cluster.disconnect(flapping);
        await cluster.sleep(random.exponential(600));
        cluster.reconnect(flapping);
      }
      expect(await msToConverge(cluster, [Account], all)).toBeLessThan(CONVERGES_MS);
      await load.stop();
      await expectInOrder(cluster, ledger, three);
    });
  },
);
