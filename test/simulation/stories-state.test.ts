import { Grain, type GrainClass, grain, IdempotencyKeyReusedError, method, state } from 'granary';
import { type SimulatedCluster, simulate } from 'granary/testing';
import { expect, test } from 'vitest';
import { callersOf, codeOf, keys, seeds } from './accounts.ts';

const all = keys(4);

/** Money that must not go in twice. */
@grain()
class Purse extends Grain {
  @state() coins = 0;
  @state() from: string[] = [];

  @method()
  async put(coins: number, from: string, slips = 0): Promise<number> {
    this.coins += coins;
    await this.save();
    this.from.push(from); // after save(), which is no end
    if (this.context.random.next() < slips) throw new RangeError('slipped');
    return this.coins;
  }

  /** Ends, or goes to a silo of that name if there is one. */
  @method()
  async shake(silo?: string): Promise<void> {
    if (silo === undefined) this.context.deactivate();
    else this.context.migrate(silo);
  }

  @method({ readOnly: true })
  async look(): Promise<{ coins: number; from: string[] }> {
    return { coins: this.coins, from: this.from };
  }
}

interface Payment {
  readonly key: string;
  readonly from: string;
  /** What everybody who asked was told. */
  readonly answers: Set<number>;
}

/** Pays, and asks again with the same key, anywhere, until it is answered. Sometimes once more after that. */
async function pay(cluster: SimulatedCluster, { key, from, answers }: Payment): Promise<void> {
  const { random } = cluster;
  const options = { idempotencyKey: from, timeoutMs: Math.ceil(random.between(200, 5_000)) };
  for (;;) {
    const caller = random.pick([cluster, ...callersOf(cluster)]);
    const call = caller.grain(Purse, key).$with(options).put(1, from, 0.1);
    const answer = await call.catch((error) => {
      if (error instanceof IdempotencyKeyReusedError) throw error;
    });
    if (answer !== undefined) answers.add(answer);
    if (answer !== undefined && random.chance(0.7)) return;
    await cluster.sleep(random.between(0, 300));
  }
}

// Lost answers, crashes between the write and the answer, two
// activations in a split, errors of the store before and after it has written, and callers that do not wait
// for the end of their own first attempt.
test.each(seeds(8))(
  'calls with keys, made until they are answered, take effect once each, whatever happens (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: 4, grains: [Purse], faults: 'swarm' }, async (cluster) => {
      const { random } = cluster;
      const payments: Payment[] = [];
      let over = false;
      const payer = async (name: string) => {
        for (let n = 1; n <= 15; n++) {
          const payment = { key: random.pick(all), from: `${name} ${n}`, answers: new Set<number>() };
          payments.push(payment);
          // Impatient ones ask a second time while the first is under way.
          const impatient = random.chance(0.2) ? [pay(cluster, payment)] : [];
          await Promise.all([pay(cluster, payment), ...impatient]);
          await cluster.sleep(random.between(0, 400));
        }
      };
      const shaker = async () => {
        while (!over) {
          const to = random.chance(0.6) ? random.pick(cluster.names) : undefined;
          await codeOf(cluster.grain(Purse, random.pick(all)).shake(to));
          await cluster.sleep(random.between(100, 1_000));
        }
      };
      const shaking = shaker();
      const paying = Promise.all(['ada', 'bob', 'eve'].map(payer));
      // Some trouble does not end by itself.
      void cluster.sleep(60_000).then(() => cluster.stopFaults());
      await paying;
      over = true;
      await shaking;
      await cluster.stopFaults();
      await cluster.settled();
      for (const key of all) {
        const mine = payments.filter((payment) => payment.key === key);
        const { coins, from } = await cluster.grain(Purse, key).look();
        expect([...from].sort()).toEqual(mine.map((payment) => payment.from).sort());
        expect(coins).toBe(mine.length);
        // Each was told the one answer of its one effect: no two the same, and none told two.
        for (const { answers } of mine) expect(answers.size).toBe(1);
        expect(new Set(mine.flatMap(({ answers }) => [...answers])).size).toBe(mine.length);
      }
    });
  },
);

test.each(seeds(4))(
  'a call with a key whose silo is lost is made again by itself, and takes effect once (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: ['a', 'b', 'c'], grains: [Purse] }, async (cluster) => {
      cluster.setStores({ latencyMs: 40, jitterMs: 20 });
      const { random } = cluster;
      let retried = 0;
      cluster.client.subscribe(() => retried++, ['callRetried']);
      for (let n = 1; n <= 5; n++) {
        const key = `lost ${n}`;
        await cluster.grain(Purse, key).look();
        const [{ silo: home } = { silo: '' }] = cluster.activationsOf(Purse, key);
        const paid = cluster.grain(Purse, key).$with({ idempotencyKey: 'k' }).put(1, 'k');
        await cluster.sleep(random.between(0, 90)); // before the write, between, or after it
        cluster.crash(home);
        expect(await paid).toBe(1);
        expect(await cluster.grain(Purse, key).look()).toEqual({ coins: 1, from: ['k'] });
        await cluster.start(home);
        await cluster.settled();
      }
      expect(retried).toBeGreaterThan(0);
    });
  },
);

// ---- a rolling deploy

@grain({ name: 'Profile' })
class First extends Grain {
  @state() name = '';
  @state() log: string[] = [];

  /** Tells by which class. */
  @method()
  async note(entry: string): Promise<string> {
    this.log.push(entry);
    await this.save();
    if (this.context.random.next() < 0.2) this.context.deactivate(); // the next one is where the ring says
    return 'first';
  }

  @method({ readOnly: true })
  async entries(): Promise<string[]> {
    return this.log;
  }
}

/** A field more, no version: both may write. */
@grain({ name: 'Profile' })
class Wider extends First {
  @state() seen: string[] = [];

  @method()
  override async note(entry: string): Promise<string> {
    this.seen.push(entry);
    await super.note(entry);
    return 'wider';
  }

  @method({ readOnly: true })
  async sights(): Promise<string[]> {
    return this.seen;
  }
}

/** Another shape: the log is a map by now. */
@grain({ name: 'Profile' })
class Second extends Grain {
  @state({
    version: 2,
    migrate: {
      2: ({ log, ...stored }: { log: string[] }) => ({ ...stored, notes: new Map(log.map((e) => [e, 1])) }),
    },
  })
  notes = new Map<string, number>();
  @state() name = '';

  @method()
  async note(entry: string): Promise<void> {
    this.notes.set(entry, (this.notes.get(entry) ?? 0) + 1);
    await this.save();
  }

  @method({ readOnly: true })
  async entries(): Promise<string[]> {
    return [...this.notes.keys()];
  }
}

/**
 * One silo gets new code, and the old one back; then all get the new code, one after the other, while
 * everybody writes. Returns what was acknowledged, and the codes of what was not.
 */
async function roll(cluster: SimulatedCluster, Class: typeof Second | typeof Wider) {
  const { random } = cluster;
  const acknowledged: { key: string; entry: string; by: string }[] = [];
  const codes = new Set<string>();
  let over = false;
  const write = async (writer: number) => {
    for (let n = 0; !over; n++) {
      const [key, entry] = [random.pick(all), `${writer}.${n}`];
      const noted = cluster.grain(First, key).note(entry);
      await noted.then(
        (by) => acknowledged.push({ key, entry, by }),
        ({ code }) => codes.add(code),
      );
      await cluster.sleep(random.between(5, 60));
    }
  };
  const writing = [0, 1, 2].map(write);
  const replace = async (name: string, by: GrainClass) => {
    await cluster.sleep(random.between(300, 1_500));
    if (random.chance(0.3)) cluster.crash(name);
    else await cluster.stop(name);
    await cluster.sleep(random.between(0, 800));
    await cluster.start(name, { grains: [by] });
  };
  const [canary = 'a', ...others] = random.shuffled(['a', 'b', 'c']);
  await replace(canary, Class);
  await replace(canary, First); // second thoughts: what the new code wrote, the old one must live with
  for (const name of [canary, ...others]) await replace(name, Class);
  await cluster.settled();
  await cluster.sleep(500);
  over = true;
  await Promise.all(writing);
  return { acknowledged, codes };
}

test.each(seeds(4))(
  'a field more in a rolling deploy: old and new silos write in turn, and no field is lost (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: ['a', 'b', 'c'], grains: [First] }, async (cluster) => {
      const { acknowledged, codes } = await roll(cluster, Wider);
      expect([...codes].filter((code) => code !== 'SILO_UNAVAILABLE')).toEqual([]);
      for (const key of all) {
        const ref = cluster.grain<Wider>('Profile', key);
        const [entries, seen] = await Promise.all([ref.entries(), ref.sights()]);
        const mine = acknowledged.filter((each) => each.key === key);
        expect(entries).toEqual(expect.arrayContaining(mine.map(({ entry }) => entry)));
        // Old silos have written since; what the new ones added is there.
        const byNew = mine.filter(({ by }) => by === 'wider').map(({ entry }) => entry);
        expect(seen).toEqual(expect.arrayContaining(byNew));
        expect(byNew.length).toBeGreaterThan(0);
      }
    });
  },
);

test.each(seeds(4))(
  'a new version in a rolling deploy: old silos refuse what new ones wrote, and nothing is lost (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: ['a', 'b', 'c'], grains: [First] }, async (cluster) => {
      const { acknowledged, codes } = await roll(cluster, Second);
      for (const code of codes)
        expect(['STATE_VERSION', 'STATE_CONFLICT', 'SILO_UNAVAILABLE']).toContain(code);
      for (const key of all) {
        const entries = await cluster.grain<Second>('Profile', key).entries();
        const mine = acknowledged.filter((each) => each.key === key).map(({ entry }) => entry);
        expect(entries).toEqual(expect.arrayContaining(mine));
      }
    });
  },
);
