import { Grain, grain, method, type NotifyOptions, type ObserverRef, Observers, state } from 'granary';
import { type SimulatedCluster, simulate } from 'granary/testing';
import { expect, test } from 'vitest';
import { seeds } from '../support/seeds.ts';

interface Watcher {
  flashed(beacon: string, activation: string, flash: number): void;
}

/** What a flash led to. */
interface Flashed {
  readonly flash: number;
  readonly reached: number;
  readonly dropped: number;
  readonly codes: readonly string[];
  readonly size: number;
}

/** Counts, and tells everybody who has asked for it. */
@grain()
class Beacon extends Grain {
  @state() watchers = new Observers<Watcher>();
  @state() flashes = 0;

  @method({ idempotent: true })
  async watch(watcher: ObserverRef<Watcher>): Promise<void> {
    if (this.watchers.has(watcher)) return;
    this.watchers.add(watcher);
    await this.save();
  }

  @method()
  async flash(options: NotifyOptions = {}): Promise<Flashed> {
    const flash = ++this.flashes;
    await this.save();
    const { key, context } = this;
    const told = await this.watchers.notify(
      (watcher) => watcher.flashed(key, context.activationId, flash),
      options,
    );
    if (told.dropped > 0) await this.save();
    const codes = told.failures.map(({ error }) => (error as { code?: string }).code ?? String(error));
    return { flash, reached: told.reached, dropped: told.dropped, codes, size: this.watchers.size };
  }
}

/** Hears flashes, and notes what breaks a promise: each at most once, and none before an earlier one. */
class Log implements Watcher {
  readonly heard = new Map<string, Set<number>>();
  readonly problems: string[] = [];
  readonly #last = new Map<string, number>();

  flashed(beacon: string, activation: string, flash: number): void {
    const all = this.heard.get(beacon) ?? new Set();
    if (all.has(flash)) this.problems.push(`flash ${flash} of ${beacon} is heard again`);
    const last = this.#last.get(activation) ?? 0;
    if (last >= flash) this.problems.push(`flash ${flash} of ${beacon} is heard after ${last}`);
    this.heard.set(beacon, all.add(flash));
    this.#last.set(activation, flash);
  }
}

const beacons = ['north', 'east', 'south', 'west'];

async function codeOf(call: Promise<unknown>): Promise<string | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

/** Two clients watch all beacons. */
async function watchAll(cluster: SimulatedCluster, names: readonly string[]): Promise<Map<string, Log>> {
  const logs = new Map<string, Log>();
  for (const name of names) {
    const client = await cluster.connect(name);
    const log = new Log();
    logs.set(name, log);
    const watcher = client.observe<Watcher>(log);
    for (const beacon of beacons) await client.grain(Beacon, beacon).watch(watcher);
  }
  return logs;
}

/** Flashes until it is told to stop; gives the flashes of which all is known. */
function flashing(cluster: SimulatedCluster): { stop(): Promise<void>; readonly codes: Set<string> } {
  const codes = new Set<string>();
  let over = false;
  const run = async () => {
    while (!over) {
      const code = await codeOf(cluster.grain(Beacon, cluster.random.pick(beacons)).flash());
      if (code) codes.add(code);
      await cluster.sleep(cluster.random.exponential(100));
    }
  };
  const runs = [run(), run()];
  return {
    codes,
    async stop() {
      over = true;
      await Promise.all(runs);
    },
  };
}

test.each(seeds(6))(
  'observers in state outlive the silos that kept them, and hear each flash once, in order (seed %i)',
  async (seed) => {
    const faults = [
      'crash',
      'vanish',
      'leave',
      'join',
      'pause',
      'loss',
      'duplication',
      'disconnect',
    ] as const;
    await simulate({ seed, silos: 4, grains: [Beacon], faults }, async (cluster) => {
      const logs = await watchAll(cluster, ['eve', 'bob']);
      const load = flashing(cluster);
      await cluster.sleep(20_000);
      await cluster.stopFaults();
      await load.stop();
      await cluster.settled();
      for (const beacon of beacons) {
        const { flash, ...rest } = await cluster.grain(Beacon, beacon).flash();
        const size = rest.size;
        expect(rest).toEqual({ reached: size, dropped: 0, codes: [], size });
        const heard = [...logs.values()].filter((log) => log.heard.get(beacon)?.has(flash));
        expect(heard).toHaveLength(size);
      }
      expect([...logs.values()].flatMap(({ problems }) => problems)).toEqual([]);
    });
  },
);

test.each(seeds(4))(
  'without trouble on the way nobody is dropped, whichever silos crash (seed %i)',
  async (seed) => {
    await simulate(
      { seed, silos: 4, grains: [Beacon], faults: ['crash', 'join', 'leave'] },
      async (cluster) => {
        const logs = await watchAll(cluster, ['eve', 'bob']);
        const load = flashing(cluster);
        await cluster.sleep(15_000);
        await cluster.stopFaults();
        await load.stop();
        await cluster.settled();
        for (const beacon of beacons) {
          const { flash, ...rest } = await cluster.grain(Beacon, beacon).flash();
          expect(rest).toEqual({ reached: 2, dropped: 0, codes: [], size: 2 });
          for (const log of logs.values()) expect(log.heard.get(beacon)).toContain(flash);
        }
      },
    );
  },
);

test.each(seeds(4))(
  'clients that close, die, or vanish are noticed, each in its time, and dropped (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: 3, grains: [Beacon] }, async (cluster) => {
      await watchAll(cluster, ['stays', 'dies', 'vanishes']);
      const closing = await cluster.connect('closes');
      const beacon = cluster.grain(Beacon, 'north');
      await beacon.watch(closing.observe<Watcher>(new Log()));
      const flash = async () => {
        const from = cluster.now;
        const { reached, size, codes } = await beacon.flash({ unreachableMs: 5_000 });
        return { reached, size, codes: [...codes].sort(), ms: cluster.now - from };
      };
      expect(await flash()).toMatchObject({ reached: 4, size: 4 });
      cluster.crash('dies');
      await cluster.sleep(50); // The server sees the connection close, and says so from then on.
      const noticed = await flash();
      expect(noticed).toMatchObject({ reached: 3, size: 4, codes: ['OBSERVER_GONE'] });
      expect(noticed.ms).toBeLessThan(500);
      cluster.vanish('vanishes');
      await closing.close();
      // Nobody says so of the one that vanished: calls end with their deadline, and it has three tries.
      for (let i = 0; i < 2; i++) {
        const codes = ['CALL_TIMEOUT', 'OBSERVER_GONE', 'OBSERVER_GONE'];
        expect(await flash()).toMatchObject({ reached: 1, size: 4, codes });
      }
      await cluster.sleep(5_000);
      expect(await flash()).toMatchObject({ reached: 1, size: 1 });
      expect(await flash()).toMatchObject({ reached: 1, size: 1, codes: [] });
    });
  },
);

test.each(seeds(4))(
  'a client that is away for a moment keeps its observers, however it was away (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: 3, grains: [Beacon] }, async (cluster) => {
      const logs = await watchAll(cluster, ['eve']);
      const beacon = cluster.grain(Beacon, 'south');
      const silos = [...cluster.names];
      const absences: [begin: () => void, end: () => void][] = [
        [() => cluster.disconnect('eve'), () => cluster.reconnect('eve')],
        [() => cluster.partition(['eve'], [...silos, 'client']), () => cluster.heal()],
        [() => cluster.pause('eve'), () => cluster.resume('eve')],
      ];
      for (const [begin, end] of cluster.random.shuffled(absences)) {
        begin();
        await cluster.sleep(100);
        const from = cluster.now;
        for (let i = 0; i < 2; i++) {
          expect(await beacon.flash()).toMatchObject({ reached: 0, dropped: 0, codes: ['CALL_TIMEOUT'] });
        }
        expect(cluster.now - from).toBeLessThan(3_000);
        end();
        await cluster.sleep(cluster.random.between(100, 1_500));
        const { flash } = await beacon.flash();
        expect(logs.get('eve')?.heard.get('south')).toContain(flash);
      }
    });
  },
);

test.each(seeds(4))(
  'it is not the observer that is gone when the silo itself is cut off: its calls wait (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: 3, grains: [Beacon] }, async (cluster) => {
      const logs = await watchAll(cluster, ['eve']);
      await cluster.grain(Beacon, 'west').flash();
      const [{ silo } = { silo: '' }] = cluster.activationsOf(Beacon, 'west');
      cluster.disconnect(silo);
      const flashed = cluster.silo(silo).grain(Beacon, 'west').flash({ deadlineMs: 5_000 });
      await cluster.sleep(cluster.random.between(20, 400));
      cluster.reconnect(silo);
      const { flash, ...rest } = await flashed;
      expect(rest).toEqual({ reached: 1, dropped: 0, codes: [], size: 1 });
      expect(logs.get('eve')?.heard.get('west')).toContain(flash);
    });
  },
);

test.each(seeds(4))(
  'a call that a client has when it dies ends within seconds, and not with its deadline (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: 3, grains: [Beacon] }, async (cluster) => {
      const client = await cluster.connect('eve');
      const begun = new Promise<void>((resolve) => {
        const watcher = client.observe({
          flashed() {
            resolve();
            return new Promise(() => {});
          },
        });
        void cluster.grain(Beacon, 'east').watch(watcher as ObserverRef<Watcher>);
      });
      await cluster.sleep(1_000);
      const flashed = cluster
        .grain(Beacon, 'east')
        .$with({ timeoutMs: 60_000 })
        .flash({ deadlineMs: 50_000, unreachableMs: 0 });
      await begun;
      await cluster.sleep(cluster.random.between(0, 3_000));
      const from = cluster.now;
      cluster.crash('eve');
      expect(await flashed).toMatchObject({ reached: 0, dropped: 1, codes: ['OBSERVER_GONE'] });
      expect(cluster.now - from).toBeLessThan(3_000);
    });
  },
);
