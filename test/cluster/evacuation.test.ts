import { simulate } from 'granary/testing';
import { describe, expect, test, vi } from 'vitest';
import { type DeactivationReason, Grain, grain, memory, method, state } from '../../framework/index.ts';
import { TestCluster } from '../../framework/testing/index.ts';
import { Stage } from '../support/stage.ts';

/** Saves at its end, but not when it moves: then its fields go along. */
@grain({ keepAlive: true })
class Ledger extends Grain {
  @state() entries = 0;
  @method() async add(): Promise<number> {
    return ++this.entries;
  }
  override async onDeactivate(reason: DeactivationReason): Promise<void> {
    if (reason !== 'migrated') await this.save();
  }
}

const stage = new Stage();
let opened = Promise.resolve();

/** Goes before what it saves is stored. */
@grain()
class Hasty extends Grain {
  @state() count = 0;
  @method() async add(): Promise<number> {
    this.count++;
    await this.save();
    return this.count;
  }
  @method() async saveAndGo(silo: string): Promise<void> {
    this.count++;
    void this.save();
    this.context.migrate(silo);
  }
  @method() async where(): Promise<string> {
    return this.context.silo;
  }
}

/** Takes along what it has in memory. */
@grain({ keepAlive: true })
class Cargo extends Grain {
  #load = '';
  @method() async put(load: string): Promise<void> {
    this.#load += load;
  }
  @method() async size(): Promise<number> {
    return this.#load.length;
  }
  @method() async go(silo: string): Promise<void> {
    this.context.migrate(silo);
  }
  @method() async where(): Promise<string> {
    return this.context.silo;
  }
  override async onActivate(): Promise<void> {
    await opened;
  }
  override onDehydrate(): unknown {
    return this.#load;
  }
  override onRehydrate(load: string): void {
    this.#load = load;
  }
}

/** Calls others, beside whatever runs; or alone. */
@grain()
class Pair extends Grain {
  @method({ interleave: true }) async ask(other: string, gate: string): Promise<void> {
    await stage.hold(gate);
    await this.grain(Pair, other).nothing();
  }
  @method() async askAlone(other: string, gate: string): Promise<void> {
    await stage.hold(gate);
    await this.grain(Pair, other).nothing();
  }
  @method() async nothing(): Promise<void> {}
  @method({ interleave: true }) async end(): Promise<void> {
    this.context.deactivate();
  }
}

@grain({ prefers: { zone: 'west' } })
class Customer extends Grain {
  @state() orders = 0;
  @method({ idempotent: true }) async where(): Promise<string> {
    return this.context.silo;
  }
}

@grain()
class Other extends Grain {
  @method() async nothing(): Promise<void> {}
}

describe('a silo that is drained', () => {
  test('tells its grains of a shutdown, not of a move, when no other silo can take them', async () => {
    await using cluster = await TestCluster.start({ grains: [Ledger], silos: ['a'] });
    await cluster.grain(Ledger, 'x').add();
    await cluster.stop('a');
    await cluster.start('b');
    await cluster.settled();
    expect(await cluster.grain(Ledger, 'x').add()).toBe(2);
  });

  test('loses nothing when what moves along is more than it keeps at a time', async () => {
    const options = { homecomingsPerSecond: 0 };
    await using cluster = await TestCluster.start({ grains: [Cargo], silos: ['a'], options });
    const load = 'x'.repeat(2_000_000);
    const all = Array.from({ length: 75 }, (_, key) => cluster.grain(Cargo, key));
    for (const each of all) await each.put(load);
    await cluster.start('b');
    await cluster.settled();
    expect(await cluster.silo('a').drain()).toBe(true);
    expect(new Set(await Promise.all(all.map((each) => each.size())))).toEqual(new Set([load.length]));
  });

  test('sends on what has come with a grain that is not active yet', async () => {
    await using cluster = await TestCluster.start({ grains: [Cargo] });
    const cargo = cluster.grain(Cargo, 'x');
    await cargo.put('12');
    const from = await cargo.where();
    const to = cluster.names.find((name) => name !== from) as string;
    let open = () => {};
    opened = new Promise((resolve) => {
      open = resolve;
    });
    await cargo.go(to);
    const places = () => cluster.activationsOf(Cargo, 'x').map(({ silo }) => silo);
    await vi.waitFor(() => expect(places()).toEqual([to]));
    const drained = cluster.silo(to).drain();
    await vi.waitFor(() => expect(cluster.silo(from).silos).not.toContain(to));
    await cluster.settled();
    open();
    expect(await drained).toBe(true);
    expect(await cargo.size()).toBe(2);
  });
});

describe('an activation that ends', () => {
  test('waits for turns that interleave, too: a circle through one of them is found', async () => {
    await using cluster = await TestCluster.start({ grains: [Pair], silos: ['a'] });
    const one = cluster.grain(Pair, 'one');
    const two = cluster.grain(Pair, 'two');
    const calls = [one.ask('two', 'one asks'), two.askAlone('one', 'two asks')];
    const outcomes = Promise.allSettled(calls);
    await Promise.all([stage.reached('one asks'), stage.reached('two asks')]);
    await one.end();
    stage.release('one asks', 'two asks');
    const failures = (await outcomes).flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
    expect(failures.map(({ code }) => code)).toEqual(['DEADLOCK']);
  });
});

describe('grains that move', () => {
  test('take along what a save that nobody awaits is still writing', async () => {
    const store = memory();
    const write = store.write.bind(store);
    let letWrite = () => {};
    const mayWrite = new Promise<void>((resolve) => {
      letWrite = resolve;
    });
    store.write = async (...args) => {
      await mayWrite;
      return write(...args);
    };
    const stores = { default: store };
    await using cluster = await TestCluster.start({ grains: [Hasty], silos: ['a', 'b'], stores });
    const hasty = cluster.grain(Hasty, 'x');
    const from = await hasty.where();
    await hasty.saveAndGo(from === 'a' ? 'b' : 'a');
    for (let i = 0; i < 30; i++) await new Promise(setImmediate);
    letWrite();
    expect(await hasty.where()).not.toBe(from);
    expect(await hasty.add()).toBe(2);
  });

  test('stay where they are when they ask for just that', async () => {
    const options = { homecomingsPerSecond: 1_000 };
    await using cluster = await TestCluster.start({ grains: [Cargo], silos: ['a'], options });
    const keys = Array.from({ length: 40 }, (_, key) => key);
    await Promise.all(keys.map((key) => cluster.grain(Cargo, key).put('1')));
    const pinned = keys.slice(20);
    await Promise.all(pinned.map((key) => cluster.grain(Cargo, key).go('a')));
    await cluster.start('b');
    const placesOf = (some: readonly number[]) =>
      some.flatMap((key) => cluster.activationsOf(Cargo, key).map(({ silo }) => silo));
    await vi.waitFor(() => expect(placesOf(keys)).toContain('b'));
    await cluster.settled();
    expect(new Set(placesOf(pinned))).toEqual(new Set(['a']));
  });

  test('reach the silo that they prefer, once, though the one that decides knows nothing', async () => {
    const options = { homecomingsPerSecond: 400, idleMs: 600_000 };
    await simulate({ seed: 1, silos: 3, grains: [Other], options }, async (cluster) => {
      await cluster.start('east', { grains: [Customer], labels: { zone: 'east' } });
      await cluster.start('west', { grains: [Customer], labels: { zone: 'west' } });
      await cluster.settled();
      const customers = Array.from({ length: 30 }, (_, key) => cluster.grain(Customer, key));
      const places = await Promise.all(customers.map((each) => each.where()));
      expect(places).toContain('east');
      let ends = 0;
      cluster.subscribe((_silo, event) => {
        if (event.type === 'activationGone') ends++;
      });
      await cluster.start('another', { grains: [Other] });
      await cluster.settled();
      await cluster.sleep(60_000);
      expect(ends).toBe(places.filter((place) => place === 'east').length);
      const last = await Promise.all(customers.map((each) => each.where()));
      expect(new Set(last)).toEqual(new Set(['west']));
    });
  });
});
