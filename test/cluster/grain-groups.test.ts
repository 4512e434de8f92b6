import {
  Grain,
  type GrainRef,
  type GroupUpdate,
  grain,
  InvalidConfigError,
  mapGrains,
  method,
} from 'granary';
import { TestCluster } from 'granary/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failure } from '../support/places.ts';

@grain()
class Player extends Grain {
  poked: unknown[] = [];

  @method()
  async name(): Promise<string> {
    return this.key;
  }

  @method()
  async poke(what: unknown): Promise<void> {
    this.poked.push(what);
    // Nobody sees what they share, if anything: this one changes it.
    if (Array.isArray(what)) what.push(this.key);
  }

  @method()
  async pokes(): Promise<unknown[]> {
    return this.poked;
  }

  @method()
  async join(group: string): Promise<string[]> {
    await this.context.groups.join(group);
    return ids(await this.context.groups.members(group));
  }

  @method()
  async leave(group: string): Promise<void> {
    await this.context.groups.leave(group);
  }

  @method()
  async pokeAll(group: string): Promise<number> {
    return this.context.groups.publish<Player>(group, 'poke', this.key);
  }

  @method()
  async end(): Promise<void> {
    this.context.deactivate();
  }

  @method()
  async *letters(): AsyncGenerator<string> {
    yield* this.key;
  }
}

const ids = (members: readonly { readonly $id: string }[]) => members.map(({ $id }) => $id).sort();

describe('a process group', () => {
  let cluster: TestCluster;
  const player = (key: string) => cluster.grain(Player, key);
  beforeAll(async () => {
    cluster = await TestCluster.start({ grains: [Player], silos: ['a', 'b', 'c', 'd'] });
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  async function seenBy(group: string): Promise<string[][]> {
    return Promise.all(
      cluster.names.map(async (name) => ids(await cluster.silo(name).groups.members(group))),
    );
  }

  test('has no members at first, and shows those that join on every silo', async () => {
    expect(await seenBy('room')).toEqual(cluster.names.map(() => []));
    await cluster.silo('a').groups.join('room', player('ada'));
    await cluster.silo('b').groups.join('room', player('bob'));
    await cluster.silo('b').groups.join('room', player('bob')); // changes nothing
    expect(await seenBy('room')).toEqual(cluster.names.map(() => ['Player/ada', 'Player/bob']));
    expect(await seenBy('another room')).toEqual(cluster.names.map(() => []));
  });

  test('gives references that can be called', async () => {
    await cluster.silo('c').groups.join('callable', player('cy'));
    const [member] = (await cluster.silo('a').groups.members('callable')) as unknown as [GrainRef<Player>];
    expect(await member.name()).toBe('cy');
  });

  test('loses the members that leave, on the silo that they joined on', async () => {
    const [a, b] = [cluster.silo('a').groups, cluster.silo('b').groups];
    await a.join('leaving', player('ada'));
    await b.join('leaving', player('ada'));
    await a.leave('leaving', player('ada'));
    expect(await seenBy('leaving')).toEqual(cluster.names.map(() => ['Player/ada'])); // b still has it
    await b.leave('leaving', player('ada'));
    await b.leave('leaving', player('ada'));
    expect(await seenBy('leaving')).toEqual(cluster.names.map(() => []));
  });

  test.each(['', 'x'.repeat(600)])('needs a name', async (group) => {
    const { groups } = cluster.silo('a');
    for (const attempt of [() => groups.join(group, player('x')), () => groups.members(group)]) {
      expect(await failure((async () => attempt())())).toBeInstanceOf(InvalidConfigError);
    }
  });

  test('is watched: what it is now, and then each change', async () => {
    const watches = cluster.names.map((name) => cluster.silo(name).groups.watch('watched'));
    const first = await Promise.all(watches.map((watch) => watch.next()));
    expect(first.map(({ value }) => ids(value.members))).toEqual(cluster.names.map(() => []));
    const joined = watches.map((watch) => watch.next());
    await cluster.silo('b').groups.join('watched', player('bob'));
    for (const { value } of await Promise.all(joined)) {
      expect({ joined: ids(value.joined), left: ids(value.left), members: ids(value.members) }).toEqual({
        joined: ['Player/bob'],
        left: [],
        members: ['Player/bob'],
      });
    }
    const left = watches.map((watch) => watch.next());
    await cluster.silo('b').groups.leave('watched', player('bob'));
    for (const { value } of await Promise.all(left)) {
      expect([ids(value.joined), ids(value.left), ids(value.members)]).toEqual([[], ['Player/bob'], []]);
    }
    for (const watch of watches) await watch.return?.();
  });
});

test('members leave with their silo, when it stops and when it crashes', async () => {
  await using cluster = await TestCluster.start({ grains: [Player], silos: ['a', 'b', 'c', 'd'] });
  const updates: GroupUpdate[] = [];
  for (const name of cluster.names) await cluster.silo(name).groups.join('all', cluster.grain(Player, name));
  const watch = cluster.silo('a').groups.watch('all');
  updates.push((await watch.next()).value);
  expect(ids((updates[0] as GroupUpdate).members)).toHaveLength(4);
  await cluster.stop('b');
  cluster.crash('c');
  await cluster.settled();
  for (const name of cluster.names) {
    const members = async () => ids(await cluster.silo(name).groups.members('all'));
    await expect.poll(members).toEqual(['Player/a', 'Player/d']);
  }
  const gone = new Set<string>();
  while (gone.size < 2) for (const { $id } of (await watch.next()).value.left) gone.add($id);
  expect([...gone].sort()).toEqual(['Player/b', 'Player/c']);
  await watch.return?.();
});

test('in a split each side sees its own members, and after it all see all', async () => {
  await using cluster = await TestCluster.start({ grains: [Player], silos: ['a', 'b'] });
  const members = async (silo: string) => ids(await cluster.silo(silo).groups.members('split'));
  await cluster.silo('a').groups.join('split', cluster.grain(Player, 'a'));
  await cluster.silo('b').groups.join('split', cluster.grain(Player, 'b'));
  cluster.partition(['a'], ['b']);
  await cluster.settled();
  await expect.poll(() => members('a')).toEqual(['Player/a']);
  await expect.poll(() => members('b')).toEqual(['Player/b']);
  await cluster.silo('b').groups.join('split', cluster.grain(Player, 'b2'));
  cluster.heal();
  await cluster.settled();
  for (const silo of ['a', 'b']) {
    await expect.poll(() => members(silo)).toEqual(['Player/a', 'Player/b', 'Player/b2']);
  }
});

describe('publishing to a group', () => {
  let cluster: TestCluster;
  const player = (key: string | number) => cluster.grain(Player, key);
  beforeAll(async () => {
    cluster = await TestCluster.start({ grains: [Player], silos: ['a', 'b', 'c'] });
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  const poked = (key: string | number) => expect.poll(() => player(key).pokes(), { interval: 5 });
  const groups = (silo: string) => cluster.silo(silo).groups;

  test('calls every member once, from any silo, and tells how many', async () => {
    expect(await groups('a').publish<Player>('some', 'poke', 1)).toBe(0);
    const keys = ['u', 'v', 'w', 'x'];
    for (const [i, key] of keys.entries()) {
      await groups(cluster.names[i % 3] as string).join('some', player(key));
      await groups('a').join('some', player(key)); // also from here: it is a member all the same
    }
    for (const silo of cluster.names) {
      expect(await groups(silo).publish<Player>('some', 'poke', silo)).toBe(4);
    }
    for (const key of keys) await poked(key).toEqual(cluster.names);
  });

  test('gives each member a copy of its own, of what the arguments were', async () => {
    for (const key of ['1', '2']) await groups('a').join('copies', player(`copy-${key}`));
    const what = ['x'];
    const sent = groups('b').publish('copies', 'poke', what);
    what.push('changed');
    expect(await sent).toBe(2);
    await poked('copy-1').toEqual([['x', 'copy-1']]);
    await poked('copy-2').toEqual([['x', 'copy-2']]);
  });

  test('reaches a thousand members, once each', async () => {
    const keys = Array.from({ length: 1_000 }, (_, n) => `many-${n}`);
    await Promise.all(keys.map((key) => groups('a').join('many', player(key))));
    expect(await groups('c').publish<Player>('many', 'poke', 'all')).toBe(1_000);
    const items = await mapGrains(keys.map(player), async (ref) => {
      await expect.poll(() => ref.pokes(), { interval: 5 }).toEqual(['all']);
    });
    expect(items.filter((item) => 'error' in item)).toEqual([]);
  });

  test('reaches a grain that is not active: a member is a reference, and it is activated', async () => {
    await groups('a').join('sleepers', player('sleeper'));
    await player('sleeper').poke('before');
    await player('sleeper').end();
    expect(await groups('b').publish<Player>('sleepers', 'poke', 'awake')).toBe(1);
    await poked('sleeper').toEqual(['awake']);
  });

  test('reaches observers that are members, and the gone ones keep nobody from it', async () => {
    const heard: string[] = [];
    const watcher = cluster.client.observe({ poke: (what: string) => void heard.push(what) });
    const gone = cluster.client.observe({ poke: () => {} });
    for (const ref of [watcher, gone]) await groups('a').join('mixed', ref);
    await groups('a').join('mixed', player('mixed'));
    cluster.client.unobserve(gone);
    expect(await groups('b').publish('mixed', 'poke', 'everybody')).toBe(3);
    await poked('mixed').toEqual(['everybody']);
    await expect.poll(() => heard).toEqual(['everybody']);
  });

  test('is there for grains, which join and leave themselves', async () => {
    expect(await player('own-1').join('own')).toEqual(['Player/own-1']);
    expect(await player('own-2').join('own')).toEqual(['Player/own-1', 'Player/own-2']);
    expect(await player('own-1').pokeAll('own')).toBe(2); // itself as well, after this turn
    await poked('own-1').toEqual(['own-1']);
    await poked('own-2').toEqual(['own-1']);
    await player('own-1').leave('own');
    expect(ids(await groups('a').members('own'))).toEqual(['Player/own-2']);
  });

  test('refuses what cannot be sent to anybody, and tells why', async () => {
    await groups('a').join('strict', player('strict'));
    const publish = (...call: [string, ...unknown[]]) => failure(groups('a').publish('strict', ...call));
    expect(await publish('poke', () => {})).toMatchObject({ code: 'NOT_SERIALIZABLE', path: 'args[0]' });
    for (const name of ['$poke', 'then', '']) {
      expect(await publish(name)).toMatchObject({ code: 'METHOD_NOT_FOUND' });
    }
    expect(await publish('letters')).toMatchObject({ code: 'METHOD_NOT_FOUND' });
    expect(await failure(groups('a').publish('', 'poke'))).toBeInstanceOf(InvalidConfigError);
    for (const member of [undefined, {}, { $id: 'x' }, player('x').name]) {
      expect(await failure(groups('a').join('strict', member as never))).toBeInstanceOf(InvalidConfigError);
    }
    // That there is no such method only the member's silo knows.
    expect(await groups('a').publish('strict', 'unknown')).toBe(1);
  });
});

test('in a split, publishing reaches its side, and after it all; a crash takes its own members', async () => {
  await using cluster = await TestCluster.start({ grains: [Player], silos: ['a', 'b', 'c'] });
  const publish = (silo: string) => cluster.silo(silo).groups.publish<Player>('split', 'poke', silo);
  const size = (silo: string, members: number) =>
    expect.poll(async () => (await cluster.silo(silo).groups.members('split')).length).toBe(members);
  for (const name of cluster.names)
    await cluster.silo(name).groups.join('split', cluster.grain(Player, name));
  cluster.partition(['a'], ['b', 'c']);
  await cluster.settled();
  await size('a', 1);
  await size('b', 2);
  expect([await publish('a'), await publish('b')]).toEqual([1, 2]);
  cluster.heal();
  await cluster.settled();
  for (const name of cluster.names) await size(name, 3);
  expect(await publish('c')).toBe(3);
  await expect.poll(() => cluster.grain(Player, 'a').pokes()).toContain('c');
  cluster.crash('b');
  await cluster.settled();
  await size('a', 2);
  expect(await publish('c')).toBe(2);
});

describe('mapGrains', () => {
  test.each(['a client', 'a silo', 'a grain'])('calls the grains of %s', async (who) => {
    @grain()
    class Census extends Grain {
      @method()
      async names(count: number): Promise<string[]> {
        const refs = Array.from({ length: count }, (_, n) => this.grain(Player, `m-${n}`));
        const items = await mapGrains(refs, (ref) => ref.name(), { concurrency: 7 });
        return items.flatMap((item) => ('error' in item ? [] : [`${item.ref.$id}=${item.value}`]));
      }

      @method()
      async slow(refs: GrainRef<Player>[]): Promise<string[]> {
        const items = await mapGrains(refs, (ref) => ref.name());
        return items.map((item) => ('error' in item ? (item.error as { code: string }).code : item.value));
      }
    }
    await using cluster = await TestCluster.start({ grains: [Player, Census], silos: ['a', 'b'] });
    const expected = Array.from({ length: 40 }, (_, n) => `Player/m-${n}=m-${n}`);
    if (who === 'a grain') {
      expect(await cluster.grain(Census, 'x').names(40)).toEqual(expected);
      const one = cluster.grain(Census, 'y');
      // The calls belong to the turn: one that comes back to it is refused, the others are not touched.
      const refs = [cluster.grain(Player, 'p'), one as unknown as GrainRef<Player>];
      expect(await one.slow(refs)).toEqual(['p', 'METHOD_NOT_FOUND']);
      return;
    }
    const place = who === 'a silo' ? cluster.silo('a') : cluster;
    const refs = Array.from({ length: 40 }, (_, n) => place.grain(Player, `m-${n}`));
    const items = await mapGrains(refs, (ref) => ref.name(), { concurrency: 7 });
    expect(items.map((item) => 'value' in item && `${item.ref.$id}=${item.value}`)).toEqual(expected);
  });
});
