import { Grain, grain, method } from 'granary';
import { TestCluster } from 'granary/testing';
import { afterEach, expect, test } from 'vitest';
import { userGroup } from '../../framework/directory/process-groups.ts';
import type { SiloRuntime } from '../../framework/runtime/silo-runtime.ts';
import { runtimeOf } from '../../framework/silo.ts';
import {
  directoryAgrees,
  nothingLeft,
  singleActivations,
} from '../../framework/testing/invariants/state-checks.ts';
import { Stage } from '../support/stage.ts';

let stage = new Stage();
afterEach(() => {
  stage = new Stage();
});

@grain()
class Home extends Grain {
  @method()
  async where(): Promise<string> {
    return this.context.silo;
  }
}

/** Lives where it was first called from, mostly away from its primary. */
@grain({ placement: 'preferLocal' })
class Guest extends Grain {
  @method()
  async where(): Promise<string> {
    return this.context.silo;
  }

  @method()
  async hold(): Promise<void> {
    await stage.hold('held');
  }
}

@grain({ placement: { workers: 2 } })
class Worker extends Grain {
  @method()
  async where(): Promise<string> {
    return this.context.silo;
  }
}

const grains = [Home, Guest, Worker];
const GUESTS = 30;

function runtimes(cluster: TestCluster): SiloRuntime[] {
  return cluster.names.map((name) => runtimeOf(cluster.silo(name)));
}

/** Calls grains of all kinds from every silo, and joins groups. */
async function populate(cluster: TestCluster): Promise<void> {
  for (const name of cluster.names) {
    const silo = cluster.silo(name);
    for (let i = 0; i < GUESTS; i++) {
      await silo.grain(Guest, `${name}-${i}`).where();
      await silo.grain(Home, `${name}-${i}`).where();
    }
    await silo.grain(Worker, 'w').where();
    await silo.groups.join('room', silo.grain(Home, name));
  }
}

/** All that is wrong with the silos that run, once what is under way is done. */
async function agreed(cluster: TestCluster): Promise<void> {
  await cluster.settled();
  const wrong = () => [...directoryAgrees(runtimes(cluster)), ...singleActivations(runtimes(cluster))];
  await expect.poll(wrong, { timeout: 10_000 }).toEqual([]);
}

/** A silo with a guest away from its primary, the guest's partition, and another replica of that. */
function guestOf(cluster: TestCluster) {
  for (const owner of runtimes(cluster)) {
    const self = owner.node.address;
    for (const activation of owner.catalog.all()) {
      if (owner.directory.primary(activation.partition) === self) continue;
      const [keeper] = runtimes(cluster).filter(
        ({ node, directory }) =>
          node.address !== self && directory.replicas(activation.partition).includes(node.address),
      );
      if (keeper) return { owner, self, activation, keeper, partition: activation.partition };
    }
  }
  throw new Error('every guest is at its primary');
}

test('directories agree, and each grain is active once, while silos come, go and crash', async () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  await using cluster = await TestCluster.start({ silos: names, grains });
  await populate(cluster);
  await agreed(cluster);
  await cluster.start('f');
  await agreed(cluster);
  await cluster.stop('b');
  await agreed(cluster);
  cluster.crash('c');
  await agreed(cluster);
  await populate(cluster);
  await agreed(cluster);
});

test('directories agree again after a split in which both sides activated the same grains', async () => {
  await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c'], grains });
  cluster.partition(['a'], ['b', 'c']);
  await cluster.settled();
  for (const name of ['a', 'b']) {
    for (let i = 0; i < GUESTS; i++) await cluster.silo(name).grain(Guest, i).where();
  }
  expect(singleActivations(runtimes(cluster))).toHaveLength(GUESTS);
  cluster.heal();
  await agreed(cluster);
});

test('a silo that has stopped holds nothing any more', async () => {
  await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c'], grains });
  await populate(cluster);
  const [a] = runtimes(cluster);
  expect(nothingLeft(a as SiloRuntime)).not.toEqual([]);
  const held = cluster.grain(Guest, 'a-0').hold();
  await stage.reached('held');
  const calls = Promise.all(Array.from({ length: 50 }, (_, i) => cluster.grain(Guest, `a-${i}`).where()));
  const stopping = cluster.stop('a');
  stage.release('held');
  await Promise.all([stopping, held, calls]);
  expect(nothingLeft(a as SiloRuntime)).toEqual([]);
});

test('a zombie is seen: an entry of a silo that is gone', async () => {
  await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c'], grains });
  await populate(cluster);
  await agreed(cluster);
  const { partition, keeper } = guestOf(cluster);
  keeper.directory.replica(partition)?.join('z~1', 'Guest/z', { id: 'zombie', since: 0 });
  expect(directoryAgrees(runtimes(cluster))).toEqual([
    `${keeper.node.address} keeps entries of z~1 in partition ${partition}, which is gone`,
  ]);
});

test('replicas that differ are seen, for grains and for groups', async () => {
  await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c'], grains });
  await populate(cluster);
  await agreed(cluster);
  const { partition, keeper, self, activation } = guestOf(cluster);
  keeper.directory.replica(partition)?.leave(self, activation.id, activation.activationId);
  const room = keeper.directory.partitionOf(userGroup('room'));
  const [other] = runtimes(cluster).filter((runtime) => runtime !== keeper);
  const member = other?.directory.replica(room)?.members(userGroup('room'))[0];
  if (!member) throw new Error('the group has no members');
  const [reader] = runtimes(cluster).filter(({ node }) => node.address !== member.owner);
  reader?.directory.replica(room)?.join(member.owner, userGroup('room'), { id: 'Home/x', since: 1 });
  const [lost, invented] = directoryAgrees(runtimes(cluster)).sort();
  const both = `${lost}\n${invented}`;
  expect(both).toMatch(new RegExp(`does not know entry \\d+: ${activation.id}, ${activation.activationId}`));
  expect(both).toMatch(/keeps entry \d+: @room, Home\/x since 1 of .*, which has no such/);
});

test('an activation without its entry is seen, and an entry without its activation', async () => {
  await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c'], grains });
  await populate(cluster);
  await agreed(cluster);
  const { owner, self, activation, partition } = guestOf(cluster);
  const { id, activationId, since } = activation;
  for (const { directory } of runtimes(cluster)) directory.replica(partition)?.leave(self, id, activationId);
  expect(directoryAgrees(runtimes(cluster))).toEqual([
    `${id} is active on ${self}, away from its primary, and has no entry`,
  ]);
  const value = { id: 'ghost', since };
  for (const { directory, node } of runtimes(cluster)) {
    if (directory.replicas(partition).includes(node.address) || node.address === self)
      directory.replica(partition)?.join(self, 'Guest/ghost', value);
  }
  expect(directoryAgrees(runtimes(cluster))).toContain(
    `${owner.node.address} has an entry for activation ghost of Guest/ghost, which is not active there`,
  );
});
