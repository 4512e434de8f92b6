import { Grain, type GrainRef, type GroupUpdate, grain, InvalidConfigError, method } from 'granary';
import { TestCluster } from 'granary/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failure } from '../support/places.ts';

@grain()
class Player extends Grain {
  @method()
  async name(): Promise<string> {
    return this.key;
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
