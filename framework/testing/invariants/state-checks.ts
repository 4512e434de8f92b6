import { isUserGroup, type Member } from '../../directory/process-groups.ts';
import type { NodeAddress } from '../../identity/silo-address.ts';
import type { Activation } from '../../runtime/activation.ts';
import type { SiloRuntime } from '../../runtime/silo-runtime.ts';

/**
 * Looks at the parts of silos that run, or have stopped, and says in sentences what is not as it must be when
 * nothing is under way: when the views agree, the directory has converged, and no activation comes or goes.
 * The silos given must be all of those that can reach each other.
 */

/**
 * Whether the directory's replicas agree. What a silo says of its own entries is the truth: each replica of a
 * partition holds just that of every silo, nothing of a silo that is gone, and nobody else holds anything. An
 * entry of a grain leads to its activation, and an activation away from its primary has one. Members of
 * users' groups are entries too, so the same comparison says that each is seen everywhere.
 */
export function directoryAgrees(runtimes: readonly SiloRuntime[]): string[] {
  const [first] = runtimes;
  if (!first) return [];
  const era = first.directory.era.id;
  const astray = runtimes.filter(({ directory }) => directory.era.id !== era);
  if (astray.length > 0) return astray.map((runtime) => `${addressOf(runtime)} is in another era`);
  const silos = new Map(runtimes.map((runtime) => [addressOf(runtime), runtime]));
  const wrong: string[] = [];
  for (let partition = 0; partition < first.options.partitions; partition++) {
    for (const runtime of runtimes) wrong.push(...replicaProblems(partition, runtime, silos));
  }
  for (const runtime of runtimes) wrong.push(...entryProblems(runtime));
  return wrong;
}

/** What one silo keeps of a partition, against what each owner has there itself. */
function replicaProblems(
  partition: number,
  keeper: SiloRuntime,
  silos: ReadonlyMap<NodeAddress, SiloRuntime>,
): string[] {
  const self = addressOf(keeper);
  const isReplica = keeper.directory.replicas(partition).includes(self);
  const kept = keeper.directory.replica(partition);
  const wrong: string[] = [];
  for (const owner of kept?.owners() ?? []) {
    const what = `${self} keeps entries of ${owner} in partition ${partition}`;
    if (!silos.has(owner)) wrong.push(`${what}, which is gone`);
    else if (!isReplica && owner !== self) wrong.push(`${what}, of which it is no replica`);
  }
  if (!isReplica) return wrong;
  for (const [owner, runtime] of silos) {
    if (owner === self) continue;
    const told = entriesOf(runtime, partition, owner);
    const known = entriesOf(keeper, partition, owner);
    for (const entry of told) if (!known.has(entry)) wrong.push(`${self} does not know ${entry} of ${owner}`);
    for (const entry of known)
      if (!told.has(entry)) wrong.push(`${self} keeps ${entry} of ${owner}, which has no such`);
  }
  return wrong;
}

/** What a silo keeps of one owner in a partition, an entry a line. */
function entriesOf({ directory }: SiloRuntime, partition: number, owner: NodeAddress): Set<string> {
  const entries = directory.replica(partition)?.slice(owner).entries ?? [];
  return new Set(
    entries.map(([dot, group, { id, since }]) => `entry ${dot}: ${group}, ${id} since ${since}`),
  );
}

/** A silo's own entries, against its own activations. */
function entryProblems(runtime: SiloRuntime): string[] {
  const { catalog, directory, options } = runtime;
  const self = addressOf(runtime);
  const wrong: string[] = [];
  for (let partition = 0; partition < options.partitions; partition++) {
    for (const [, group, { id }] of directory.replica(partition)?.slice(self).entries ?? []) {
      if (isUserGroup(group) || catalog.find(partition, group)?.activationId === id) continue;
      wrong.push(`${self} has an entry for activation ${id} of ${group}, which is not active there`);
    }
  }
  for (const { id, activationId, partition } of living(runtime)) {
    if (directory.primary(partition) === self) continue;
    const members: readonly Member[] = directory.replica(partition)?.members(id) ?? [];
    if (members.some(({ owner, value }) => owner === self && value.id === activationId)) continue;
    wrong.push(`${id} is active on ${self}, away from its primary, and has no entry`);
  }
  return wrong;
}

/** Whether each grain, stateless workers aside, is active at most once. */
export function singleActivations(runtimes: readonly SiloRuntime[]): string[] {
  const places = new Map<string, NodeAddress[]>();
  for (const runtime of runtimes) {
    for (const { id } of living(runtime)) places.set(id, [...(places.get(id) ?? []), addressOf(runtime)]);
  }
  return [...places]
    .filter(([, silos]) => silos.length > 1)
    .map(([id, silos]) => `${id} is active on ${silos.join(' and ')}`);
}

/**
 * Whether a silo that has stopped in order, all its turns ended, holds nothing any more: no activation, no
 * call that waits for an answer, a place, a partition or another silo.
 */
export function nothingLeft({
  node,
  catalog,
  workers,
  outbound,
  dispatcher,
  directory,
}: SiloRuntime): string[] {
  const left: Readonly<Record<string, number>> = {
    activations: catalog.size,
    workers: [...workers.all()].length,
    'calls without an answer': outbound.size,
    'grains that calls wait to be sent to': outbound.waiting,
    'grains that are being placed': dispatcher.waiting,
    'calls that were passed on': dispatcher.forwarded,
    'calls that wait for a partition': directory.held,
  };
  const grains = [...catalog.all()].map(({ id }) => id).join(', ');
  return Object.entries(left)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${node.address} has ${count} ${what} left`)
    .map((text) => (text.endsWith(' activations left') ? `${text} (${grains})` : text));
}

function living({ catalog }: SiloRuntime): Activation[] {
  return [...catalog.all()].filter(({ state }) => state !== 'gone');
}

function addressOf({ node }: SiloRuntime): NodeAddress {
  return node.address;
}
