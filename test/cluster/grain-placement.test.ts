import { Grain, type GrainRef, grain, method, type PlacementRequest } from 'granary';
import { TestCluster } from 'granary/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failure } from '../support/places.ts';
import { Stage } from '../support/stage.ts';

const stage = new Stage();

abstract class Located extends Grain {
  @method()
  async where(): Promise<string> {
    return this.context.silo;
  }

  @method()
  async life(): Promise<string> {
    return this.context.activationId;
  }
}

@grain()
class Ring extends Located {}

@grain({ placement: 'preferLocal' })
class Local extends Located {}

@grain({ placement: 'random' })
class Scattered extends Located {}

@grain({ placement: 'leastLoaded' })
class Balanced extends Located {}

const asked: PlacementRequest[] = [];

@grain({
  placement: {
    choose(request) {
      asked.push(request);
      const wanted = request.grain.slice('Chosen/'.length, 'Chosen/'.length + 1);
      if (wanted === '!') throw new RangeError('no idea');
      return wanted;
    },
  },
})
class Chosen extends Located {}

@grain({ placement: { workers: 3 } })
class Tool extends Located {
  @method()
  async work(place: string): Promise<string> {
    await stage.hold(place);
    return this.context.activationId;
  }

  @method()
  async *letters(): AsyncGenerator<string> {
    yield* ['a', 'b'];
  }
}

/** Calls other grains from where it is. */
@grain()
class Caller extends Located {
  @method()
  async find(type: string, key: string): Promise<[mine: string, theirs: string]> {
    return [this.context.silo, await this.grain<Located>(type, key).where()];
  }

  @method()
  async pass(tool: GrainRef<Tool>): Promise<[mine: string, theirs: string]> {
    return [this.context.silo, await tool.where()];
  }
}

const GRAINS = [Ring, Local, Scattered, Balanced, Chosen, Tool, Caller];
const keys = (n: number) => Array.from({ length: n }, (_, i) => `k${i}`);

describe('a new activation', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({ grains: GRAINS });
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  test('goes where the ring puts it, whoever calls, and stays there', async () => {
    const homes = await Promise.all(keys(60).map((key) => cluster.grain(Ring, key).where()));
    expect(new Set(homes)).toEqual(new Set(['a', 'b', 'c']));
    for (const silo of ['a', 'b', 'c']) {
      const same = await Promise.all(keys(60).map((key) => cluster.silo(silo).grain(Ring, key).where()));
      expect(same).toEqual(homes);
    }
  });

  test('goes to the silo of the grain that calls, if it prefers that', async () => {
    const places = await Promise.all(keys(30).map((key) => cluster.grain(Caller, key).find('Local', key)));
    for (const [mine, theirs] of places) expect(theirs).toBe(mine);
    expect(new Set(places.map(([mine]) => mine)).size).toBe(3);
    for (const silo of ['a', 'b', 'c']) {
      const here = await Promise.all(
        keys(10).map((key) => cluster.silo(silo).grain(Local, `${silo} ${key}`).where()),
      );
      expect(new Set(here)).toEqual(new Set([silo]));
    }
    expect(await cluster.grain(Local, 'from the client').where()).toMatch(/^[abc]$/);
  });

  test('is one, also when all silos call at once and place it elsewhere', async () => {
    for (const key of keys(10).map((each) => `race ${each}`)) {
      const calls = ['a', 'b', 'c', 'a', 'b', 'c'].map((silo) => cluster.silo(silo).grain(Local, key).life());
      expect(new Set(await Promise.all(calls)).size).toBe(1);
      expect(cluster.activationsOf(Local, key)).toHaveLength(1);
    }
  });

  test('goes anywhere, if it is placed at random', async () => {
    const places = await Promise.all(keys(60).map((key) => cluster.grain(Scattered, key).where()));
    expect(new Set(places)).toEqual(new Set(['a', 'b', 'c']));
  });

  test('goes where a placement of its own says', async () => {
    expect(await cluster.grain(Chosen, 'b1').where()).toBe('b');
    const [, theirs] = await cluster.grain(Caller, 'chooser').find('Chosen', 'c1');
    expect(theirs).toBe('c');
    const [first, second] = asked as [PlacementRequest, PlacementRequest];
    expect(first).toMatchObject({ grain: 'Chosen/b1', caller: undefined });
    expect(first.candidates.map(({ silo }) => silo).sort()).toEqual(['a', 'b', 'c']);
    expect(first.candidates.every(({ load }) => Number.isInteger(load))).toBe(true);
    expect(second.caller).toMatch(/^[abc]$/);
  });

  test.each(['x nonsense', '! throws'])(
    'fails by name when a placement of its own is of no use: %s',
    async (key) => {
      const error = await failure(cluster.grain(Chosen, key).where());
      expect(error).toMatchObject({ code: 'ACTIVATION_FAILED', grain: `Chosen/${key.replace('/', '%2F')}` });
      expect((error.cause as Error).message).toMatch(/chose 'x'.*none of its candidates|no idea/);
    },
  );
});

test('a new activation goes to the silo with the fewest, if it asks for that', async () => {
  await using cluster = await TestCluster.start({ grains: GRAINS });
  await Promise.all(keys(50).map((key) => cluster.silo('a').grain(Local, key).where()));
  await Promise.all(keys(50).map((key) => cluster.silo('b').grain(Local, `b${key}`).where()));
  let n = 0;
  // The others hear of the load with the next heartbeats.
  await expect.poll(async () => cluster.grain(Balanced, `early ${n++}`).where()).toBe('c');
  const places = await Promise.all(keys(10).map((key) => cluster.grain(Balanced, key).where()));
  expect(new Set(places)).toEqual(new Set(['c']));
});

describe('workers', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({ grains: GRAINS });
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  test('run on the silo of their caller, in every silo', async () => {
    for (const silo of ['a', 'b', 'c']) {
      expect(await cluster.silo(silo).grain(Tool, 'local').where()).toBe(silo);
      const untyped = cluster.silo(silo).grain<Tool>('Tool', 'local');
      expect(await untyped.where()).toBe(silo);
    }
    const calls = keys(20).map((key) => cluster.grain(Caller, key).pass(cluster.grain(Tool, 'local')));
    for (const [mine, theirs] of await Promise.all(calls)) expect(theirs).toBe(mine);
    expect(new Set(cluster.activationsOf(Tool, 'local').map(({ silo }) => silo))).toEqual(
      new Set(['a', 'b', 'c']),
    );
  });

  test('run side by side, up to their number; further calls wait', async () => {
    const tool = cluster.silo('a').grain(Tool, 'parallel');
    const calls = keys(5).map((key) => tool.work(key));
    await Promise.all(keys(3).map((key) => stage.reached(key)));
    const here = cluster.activationsOf(Tool, 'parallel');
    expect(here.map(({ silo }) => silo)).toEqual(['a', 'a', 'a']);
    expect([stage.visits('k3'), stage.visits('k4')]).toEqual([0, 0]);
    stage.release(...keys(5));
    expect(new Set(await Promise.all(calls)).size).toBe(3);
  });

  test('stream, and serve clients', async () => {
    const letters: string[] = [];
    for await (const letter of cluster.grain(Tool, 'stream').letters()) letters.push(letter);
    for await (const letter of cluster.silo('b').grain(Tool, 'stream').letters()) letters.push(letter);
    expect(letters).toEqual(['a', 'b', 'a', 'b']);
  });
});
