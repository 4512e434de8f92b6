import { Grain, GrainTypeNotFoundError, grain, memory, method, type Placement, state } from 'granary';
import { TestCluster } from 'granary/testing';
import { beforeEach, describe, expect, test } from 'vitest';

/** Ids of the activations that there have been, by grain. */
const lives = new Map<string, string[]>();
beforeEach(() => lives.clear());

class Living extends Grain {
  override async onActivate(): Promise<void> {
    const { id, activationId } = this.context;
    lives.set(id, [...(lives.get(id) ?? []), activationId]);
  }

  @method()
  async whoAmI(): Promise<string> {
    return this.context.activationId;
  }
}

@grain()
class Plain extends Living {}

@grain({ name: 'Other' })
class OtherType extends Living {}

/** Lives on the silo that its key names first: `c/7` on c, while c is there. */
const byKey: Placement = {
  choose: ({ grain: id, candidates }) => {
    const wanted = id.split('/')[1];
    return candidates.find(({ silo }) => silo === wanted)?.silo ?? (candidates[0]?.silo as string);
  },
};

@grain({ placement: byKey })
class Placed extends Living {
  @method({ readOnly: true })
  async silo(): Promise<string> {
    return this.context.silo;
  }

  @method()
  async end(): Promise<void> {
    this.context.deactivate();
  }
}

@grain()
class Careful extends Grain {
  @state() saved = 'nothing';

  @method()
  async prepare(text: string): Promise<void> {
    this.saved = text;
    this.context.deactivate();
  }

  @method()
  async read(): Promise<string> {
    return this.saved;
  }

  override async onDeactivate(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 30));
    await this.save();
  }
}

const keys = (count: number, prefix = 'k') => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

describe('first calls', () => {
  test('from every silo and the client at once make one activation each', async () => {
    await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c', 'd'], grains: [Plain] });
    const callers = [cluster.client, ...cluster.names.map((name) => cluster.silo(name))];
    const answers = await Promise.all(
      keys(200).map((key) => Promise.all(callers.map((caller) => caller.grain(Plain, key).whoAmI()))),
    );
    for (const [i, each] of answers.entries()) {
      expect(new Set(each).size).toBe(1);
      expect(lives.get(`Plain/k${i}`)).toEqual([each[0]]);
      expect(cluster.activationsOf(Plain, `k${i}`)).toHaveLength(1);
    }
  });

  test('from everywhere at once make one activation each, also where the placement chooses', async () => {
    await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c', 'd'], grains: [Placed] });
    const callers = [cluster.client, ...cluster.names.map((name) => cluster.silo(name))];
    const places = ['a', 'b', 'c', 'd'].flatMap((silo) => keys(25).map((key) => [silo, key] as const));
    const answers = await Promise.all(
      places.map((key) => Promise.all(callers.map((caller) => caller.grain(Placed, key).whoAmI()))),
    );
    for (const [i, [silo, key]] of places.entries()) {
      expect(cluster.activationsOf(Placed, [silo, key])).toEqual([{ silo, activationId: answers[i]?.[0] }]);
      expect(lives.get(`Placed/${silo}/${key}`)).toHaveLength(1);
    }
  });

  test('while silos join make one activation each, and none fails', async () => {
    await using cluster = await TestCluster.start({ silos: ['a'], grains: [Plain] });
    const answers: Promise<string>[] = [];
    const call = (key: string) => answers.push(cluster.grain(Plain, key).whoAmI());
    const calling = (async () => {
      for (let i = 0; i < 60; i++) {
        for (const key of keys(10, `t${i}-`)) call(key);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    })();
    await Promise.all([cluster.start('b'), cluster.start('c'), cluster.start('d')]);
    await calling;
    await Promise.all(answers);
    await cluster.settled();
    for (const [id, each] of lives) expect(each, id).toHaveLength(1);
    expect(lives.size).toBe(600);
  });

  test('while a partition gets another primary find the activation that there is', async () => {
    await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c'], grains: [Plain] });
    for (const key of keys(200)) await cluster.grain(Plain, key).whoAmI();
    const answers: Promise<string>[] = [];
    const called = new Set<string>();
    for (const name of cluster.names) {
      const silo = cluster.silo(name);
      silo.subscribe((event) => {
        if (event.type !== 'viewChanged' || !event.silos.includes('d') || called.has(name)) return;
        called.add(name);
        answers.push(...keys(250).map((key) => silo.grain(Plain, key).whoAmI()));
      });
    }
    await cluster.start('d');
    await cluster.settled();
    expect(await Promise.all(answers)).toHaveLength(3 * 250);
    for (const key of keys(250)) expect(lives.get(`Plain/${key}`), key).toHaveLength(1);
  });

  test('of two grain types with one key make two grains', async () => {
    await using cluster = await TestCluster.start({ grains: [Plain, OtherType] });
    for (const key of keys(20)) {
      const [one, other] = await Promise.all([
        cluster.grain(Plain, key).whoAmI(),
        cluster.grain(OtherType, key).whoAmI(),
      ]);
      expect(one).not.toBe(other);
      expect(cluster.activationsOf('Other', key).map(({ activationId }) => activationId)).toEqual([other]);
    }
  });
});

describe('a grain type', () => {
  test('that only some silos have lives on those, and is called from everywhere', async () => {
    await using cluster = await TestCluster.start({ silos: ['a', 'b'], grains: [Plain] });
    await expect(cluster.grain(OtherType, 'x').whoAmI()).rejects.toThrow(GrainTypeNotFoundError);
    await cluster.start('c', { grains: [OtherType] });
    await cluster.settled();
    const callers = [cluster.client, ...cluster.names.map((name) => cluster.silo(name))];
    for (const key of keys(30)) {
      const ids = await Promise.all(callers.map((caller) => caller.grain(OtherType, key).whoAmI()));
      expect(cluster.activationsOf(OtherType, key)).toEqual([{ silo: 'c', activationId: ids[0] }]);
      const plain = await Promise.all(callers.map((caller) => caller.grain(Plain, key).whoAmI()));
      expect(new Set([...ids, ...plain]).size).toBe(2);
      expect(cluster.activationsOf(Plain, key)[0]?.silo).not.toBe('c');
    }
    await cluster.stop('c');
    await expect(cluster.grain(OtherType, 'x').whoAmI()).rejects.toThrow(GrainTypeNotFoundError);
    expect(await cluster.grain(Plain, 'x').whoAmI()).toEqual(expect.any(String));
  });
});

describe('a grain away from its primary', () => {
  test('is found by everybody, and stays the same when silos come and go around it', async () => {
    await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c', 'd'], grains: [Placed] });
    const ids = new Map<string, string>();
    for (const key of keys(60)) ids.set(key, await cluster.grain(Placed, ['a', key]).whoAmI());
    const unchanged = async () => {
      await cluster.settled();
      const callers = [cluster.client, ...cluster.names.map((name) => cluster.silo(name))];
      for (const [key, id] of ids) {
        const seen = await Promise.all(callers.map((caller) => caller.grain(Placed, ['a', key]).whoAmI()));
        expect(new Set(seen)).toEqual(new Set([id]));
      }
    };
    await unchanged();
    await cluster.stop('b');
    await unchanged();
    cluster.crash('c');
    await unchanged();
    await Promise.all([cluster.start('e'), cluster.start('f')]);
    await unchanged();
  });

  test('that ends leaves nothing behind: the next one is elsewhere when the placement says so', async () => {
    await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c'], grains: [Placed] });
    for (const key of keys(20)) {
      const grain = cluster.grain(Placed, ['b', key]);
      expect(await grain.silo()).toBe('b');
      const before = await grain.whoAmI();
      await grain.end();
      expect(await grain.whoAmI()).not.toBe(before);
      await grain.end();
    }
    await cluster.settled();
    for (const key of keys(20)) expect(cluster.activationsOf(Placed, ['b', key])).toEqual([]);
    await cluster.stop('b');
    for (const key of keys(20)) {
      expect(await cluster.grain(Placed, ['b', key]).silo()).not.toBe('b');
      expect(cluster.activationsOf(Placed, ['b', key])).toHaveLength(1);
    }
  });

  test('that ended and came back elsewhere is found by a client that remembers the old place', async () => {
    await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c', 'd'], grains: [Placed] });
    for (const key of keys(20)) expect(await cluster.grain(Placed, ['d', key]).silo()).toBe('d');
    await cluster.stop('d');
    const second = new Map<string, string>();
    for (const key of keys(20)) second.set(key, await cluster.silo('a').grain(Placed, ['d', key]).whoAmI());
    await cluster.start('d');
    for (const [key, id] of second) expect(await cluster.grain(Placed, ['d', key]).whoAmI()).toBe(id);
    for (const key of keys(20)) await cluster.silo('a').grain(Placed, ['d', key]).end();
    for (const key of keys(20)) expect(await cluster.grain(Placed, ['d', key]).silo()).toBe('d');
  });
});

test('a call that comes while a grain ends waits, and sees what the ending saved', async () => {
  await using cluster = await TestCluster.start({ grains: [Careful], stores: { default: memory() } });
  const callers = [cluster.client, ...cluster.names.map((name) => cluster.silo(name))];
  await Promise.all(
    keys(30).map(async (key) => {
      await cluster.grain(Careful, key).prepare(`state of ${key}`);
      const seen = await Promise.all(callers.map((caller) => caller.grain(Careful, key).read()));
      expect(new Set(seen)).toEqual(new Set([`state of ${key}`]));
    }),
  );
});
