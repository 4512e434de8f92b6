import { Grain, type GranaryError, grain, method, state } from 'granary';
import { type SimulatedCluster, simulate } from 'granary/testing';
import { describe, expect, test } from 'vitest';
import { seeds } from '../support/seeds.ts';

@grain()
class Ledger extends Grain {
  @state() count = 0;

  @method()
  async add(): Promise<number> {
    this.count++;
    await this.save();
    return this.count;
  }

  @method({ readOnly: true })
  async read(): Promise<number> {
    return this.count;
  }
}

/** Calls ledgers on behalf of others; is anywhere, and so often on a silo that leaves. */
@grain({ placement: 'random' })
class Teller extends Grain {
  @method()
  async add(key: string): Promise<number> {
    return this.grain(Ledger, key).add();
  }
}

const SILOS = ['a', 'b', 'c', 'd', 'e'];
const keys = (count: number) => Array.from({ length: count }, (_, i) => `k${i}`);

/** Between a quiet network and one across a country, and between a store in memory and a busy one. */
function drawLatencies(cluster: SimulatedCluster, mostMs = 10): void {
  const { random } = cluster;
  cluster.setNetwork({
    latencyMs: random.logarithmic(0.1, mostMs),
    jitterMs: random.logarithmic(0.1, mostMs),
  });
  cluster.setStores({ latencyMs: random.logarithmic(0.1, 20), jitterMs: random.logarithmic(0.1, 20) });
}

/** What became of the calls of one key: each adds one. */
interface Account {
  readonly key: string;
  attempts: number;
  /** The highest count that was answered. */
  acknowledged: number;
}

/** Adds to ledgers without a pause, each by a caller of its own, until it is stopped. */
class Load {
  readonly accounts: readonly Account[];
  /** Codes of the errors that calls failed with. */
  readonly failures: string[] = [];
  readonly #cluster: SimulatedCluster;
  readonly #callers: readonly Promise<void>[];
  #running = true;

  constructor(cluster: SimulatedCluster, count: number) {
    this.#cluster = cluster;
    this.accounts = keys(count).map((key) => ({ key, attempts: 0, acknowledged: 0 }));
    this.#callers = this.accounts.map((account) => this.#call(account));
  }

  async #call(account: Account): Promise<void> {
    const { key } = account;
    while (this.#running) {
      const ledger = this.#cluster.grain(Ledger, key);
      const teller = this.#cluster.grain(Teller, key);
      account.attempts++;
      const adding = account.attempts % 2 === 0 ? ledger.add() : teller.add(key);
      await adding.then(
        (count) => {
          account.acknowledged = Math.max(account.acknowledged, count);
        },
        (error: GranaryError) => this.failures.push(error.code ?? String(error)),
      );
    }
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#callers);
  }
}

describe('five silos are restarted in order, one after the other, under load: not one call fails', () => {
  test.each(seeds(10))('seed %i', async (seed) => {
    await simulate({ seed, silos: SILOS, grains: [Ledger, Teller] }, async (cluster) => {
      drawLatencies(cluster);
      const load = new Load(cluster, 10);
      for (const name of SILOS) {
        await cluster.stop(name);
        await cluster.start(name);
      }
      await load.stop();
      expect(load.failures).toEqual([]);
      for (const { key, attempts, acknowledged } of load.accounts) {
        expect(acknowledged).toBe(attempts);
        expect(await cluster.grain(Ledger, key).read()).toBe(attempts);
        expect(cluster.activationsOf(Ledger, key)).toHaveLength(1);
      }
    });
  });
});

/** Saves at the very end only. */
@grain({ placement: 'random' })
class Late extends Grain {
  @state() text = 'nothing';

  @method()
  async write(text: string): Promise<void> {
    this.text = text;
  }

  @method()
  async end(): Promise<void> {
    this.context.deactivate();
  }

  @method()
  async read(): Promise<string> {
    return this.text;
  }

  override async onDeactivate(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 200 * this.context.random.next()));
    await this.save();
  }
}

describe('a call that comes while a grain is deactivated sees what the end has saved', () => {
  const ended = async (cluster: SimulatedCluster) => {
    await Promise.all(keys(20).map((key) => cluster.grain(Late, key).end()));
  };
  const stopped = (cluster: SimulatedCluster) => cluster.stop('b');

  describe.each([
    ['because it asked for it', ended],
    ['because its silo leaves', stopped],
  ])('%s', (_, end) => {
    test.each(seeds(5))('seed %i', async (seed) => {
      await simulate({ seed, silos: 3, grains: [Late] }, async (cluster) => {
        await Promise.all(keys(20).map((key) => cluster.grain(Late, key).write(`text of ${key}`)));
        drawLatencies(cluster);
        cluster.setStores({ latencyMs: cluster.random.between(1, 200) });
        let ending = true;
        const ends = end(cluster)
          .then(() => cluster.sleep(1_000))
          .then(() => {
            ending = false;
          });
        const readers = keys(20).map(async (key) => {
          while (ending) {
            await cluster.sleep(cluster.random.between(0, 100));
            const caller = cluster.random.pick([cluster.client, cluster.silo('a'), cluster.silo('c')]);
            expect(await caller.grain(Late, key).read()).toBe(`text of ${key}`);
          }
        });
        await Promise.all([ends, ...readers]);
      });
    });
  });
});

describe('all silos crash and start again at one moment', () => {
  /** Each calls every ledger as soon as it is there. */
  async function coldStart(cluster: SimulatedCluster): Promise<void> {
    for (const name of SILOS) cluster.crash(name);
    await cluster.sleep(1);
    await Promise.all(
      SILOS.map(async (name) => {
        const silo = await cluster.start(name);
        await Promise.all(keys(10).map((key) => silo.grain(Ledger, key).read()));
      }),
    );
  }

  async function oneClusterHasAll(cluster: SimulatedCluster, load: Load): Promise<void> {
    await cluster.settled();
    for (const name of SILOS) expect(cluster.silo(name).silos).toEqual(SILOS);
    for (const { key, attempts, acknowledged } of load.accounts) {
      const count = await cluster.grain(Ledger, key).read();
      expect(count).toBeGreaterThanOrEqual(acknowledged);
      expect(count).toBeLessThanOrEqual(attempts);
      expect(cluster.activationsOf(Ledger, key)).toHaveLength(1);
    }
  }

  describe('one cluster emerges, in which each grain is activated once and has all that was saved', () => {
    test.each(seeds(5))('seed %i', async (seed) => {
      await simulate({ seed, silos: SILOS, grains: [Ledger, Teller] }, async (cluster) => {
        drawLatencies(cluster, 3); // nothing takes longer than silos listen for each other at their start
        const load = new Load(cluster, 10);
        await cluster.sleep(200);
        const created: string[] = [];
        const unsubscribe = cluster.subscribe((_, event) => {
          if (event.type === 'activationCreated') created.push(event.grain);
        });
        await coldStart(cluster);
        await cluster.sleep(200);
        await load.stop();
        unsubscribe();
        expect(created).toHaveLength(new Set(created).size);
        expect(load.failures.filter((code) => code !== 'SILO_UNAVAILABLE')).toEqual([]);
        await oneClusterHasAll(cluster, load);
      });
    });
  });

  describe('while messages are lost: one cluster emerges in the end, and has all that was saved', () => {
    // Under 14 the word that the loser of a conflict was gone got lost: the winner kept an older state.
    test.each([...seeds(4), 14])('seed %i', async (seed) => {
      await simulate({ seed, silos: SILOS, grains: [Ledger, Teller] }, async (cluster) => {
        drawLatencies(cluster);
        const load = new Load(cluster, 10);
        await cluster.sleep(200);
        cluster.setNetwork({ loss: cluster.random.between(0.05, 0.4) });
        await coldStart(cluster).catch(() => {}); // some of its calls are lost
        await cluster.sleep(1_000);
        cluster.setNetwork({ loss: 0 });
        await load.stop();
        await oneClusterHasAll(cluster, load);
      });
    });
  });
});
