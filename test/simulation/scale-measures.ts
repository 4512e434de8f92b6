import { Replicas } from '../../framework/directory/replicas.ts';
import { Era } from '../../framework/membership/cluster.ts';
import { addressOf, View } from '../../framework/membership/view.ts';
import { Ring } from '../../framework/ring/ring.ts';
import { pack } from '../../framework/serialization/codec.ts';
import { ScaleCluster } from './scale-cluster.ts';

export interface Cell {
  readonly value: number;
  readonly text: string;
  /** It is a cost of one silo, which may not grow faster than the logarithm of the cluster's size. */
  readonly ofASilo: boolean;
}

/** What is measured of a cluster of one size, by name. */
export type Column = Record<string, Cell>;

/** Partitions: enough that each silo has some. */
export function partitionsFor(silos: number): number {
  return Math.max(1024, 2 ** Math.ceil(Math.log2(4 * silos)));
}

const IDLE_MS = 5_000;
/** Silos that are started together, so that the run does not take longer than what it measures. */
const TOGETHER = 100;
const ACTIVATIONS = 100_000;
const REPLICAS = 3;

function cell(value: number, unit = '', ofASilo = false): Cell {
  const digits = value < 100 && !Number.isInteger(value) ? 1 : 0;
  const text = value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });
  return { value, text: unit ? `${text} ${unit}` : text, ofASilo };
}

/** Starts a cluster of a size. */
export async function grow(
  cluster: ScaleCluster,
  silos: number,
  tell: (text: string) => void,
): Promise<void> {
  for (let from = 0; from < silos; from += TOGETHER) {
    const names = Array.from({ length: Math.min(TOGETHER, silos - from) }, (_, i) => `silo-${from + i}`);
    await Promise.all(names.map((name) => cluster.start(name)));
    tell(`${cluster.members.size} of ${silos} silos, after ${Math.round(cluster.engine.now)} virtual ms`);
  }
  await cluster.settled();
}

/** Starts a cluster of a size, and lets a silo join, crash and vanish. */
export async function columnOf(silos: number, tell: (text: string) => void): Promise<Column> {
  // What is said does not depend on the number of partitions; what a ring costs does.
  const cluster = new ScaleCluster(1024);
  const column: Column = {};
  await cluster.run(async () => {
    await grow(cluster, silos, tell);
    const coldMs = cluster.engine.now;
    await cluster.sleep(2_000);
    await idle(cluster, column);
    tell('idle');
    await join(cluster, column);
    tell('a silo has joined');
    await loss(cluster, column);
    tell('a process has ended, and a machine has gone');
    column[`all start, ${TOGETHER} at a time`] = cell(coldMs, 'ms');
  });
  return column;
}

async function idle(cluster: ScaleCluster, column: Column): Promise<void> {
  cluster.resetTraffic();
  await cluster.sleep(IDLE_MS);
  const { mean, most } = cluster.traffic();
  const seconds = IDLE_MS / 1000;
  column['idle, a silo: messages a second sent'] = cell(mean.sent.messages / seconds, '', true);
  column['idle: bytes a second sent'] = cell(mean.sent.bytes / seconds, '', true);
  column['idle: messages a second received'] = cell(mean.received.messages / seconds, '', true);
  column['idle: messages a second sent, the silo with most'] = cell(most.sent.messages / seconds, '', true);
}

async function join(cluster: ScaleCluster, column: Column): Promise<void> {
  cluster.resetTraffic();
  const from = cluster.engine.now;
  const late = await cluster.start('late');
  column['join: until the silo takes calls'] = cell(cluster.engine.now - from, 'ms');
  await cluster.settled();
  column['join: until all have settled'] = cell(cluster.engine.now - from, 'ms');
  const heartbeats = cluster.kinds(['beat']);
  const { mean, most } = cluster.traffic(late);
  column['join, each other silo: messages sent'] = cell(mean.sent.messages - heartbeats, '', true);
  column['join: bytes received'] = cell(mean.received.bytes, '', true);
  column['join: messages sent, the silo with most'] = cell(most.sent.messages);
  column['join, the silo that joins: bytes received'] = cell(late.traffic.received.bytes);
}

async function loss(cluster: ScaleCluster, column: Column): Promise<void> {
  for (const how of ['process', 'machine'] as const) {
    const what = how === 'process' ? 'a process ends' : 'a machine is gone';
    await cluster.sleep(1_000);
    cluster.resetTraffic();
    cluster.crash(how === 'process' ? 'silo-1' : 'silo-0', how);
    const knownMs = await cluster.until(
      ({ runtime }) => runtime.membership.era.present.size === cluster.members.size,
    );
    column[`${what}: until all know`] = cell(knownMs, 'ms');
    column[`${what}: until all have settled`] = cell(knownMs + (await cluster.settled()), 'ms');
    if (how === 'process') {
      const { mean } = cluster.traffic();
      column[`${what}, each silo: messages sent but heartbeats`] = cell(
        mean.sent.messages - cluster.kinds(['beat', 'report', 'taken']),
        '',
        true,
      );
      column[`${what}: bytes received`] = cell(mean.received.bytes, '', true);
    }
  }
}

/** What does not need the cluster to run: it follows from the ring. */
export function directoryColumn(silos: number): Column {
  const partitions = partitionsFor(silos);
  const names = Array.from({ length: silos }, (_, index) => `silo-${index}`);
  const before = new Ring(partitions, names);
  const from = process.cpuUsage();
  const after = new Ring(partitions, [...names, 'late']);
  const { user } = process.cpuUsage(from);
  let moves = 0;
  for (let each = 0; each < partitions; each++) if (before.primary(each) !== after.primary(each)) moves++;
  const moved = (100 * moves) / partitions;
  const ideal = 100 / (silos + 1);
  return {
    'partitions of the ring': cell(partitions),
    'primaries that a join moves (at least)': {
      ...cell(moves),
      text: `${moved.toFixed(1)} % (${ideal.toFixed(1)} %)`,
    },
    'processor time for a ring': cell(user / 1000, 'ms'),
    ...directoryBytes(names, partitions),
  };
}

/** The directory of one silo, when activations are wherever chance puts them. */
function directoryBytes(names: readonly string[], partitions: number): Column {
  const view = new View();
  const about = { types: [], labels: {} } as const;
  const common = { ...about, incarnation: 1, status: 'active', epoch: 0, unreachable: false } as const;
  view.merge(names.map((name) => ({ ...common, name })));
  const era = new Era(view, partitions);
  const self = addressOf(era.members[0] as (typeof era.members)[number]);
  const replicas = new Replicas(self, REPLICAS, era);
  const before = heapBytes();
  let bytes = 0;
  for (let index = 0; index < ACTIVATIONS; index++) {
    const id = `Account/${index}`;
    const partition = era.ring.partitionOf(id);
    const owner = addressOf(era.members[(index * 7919) % names.length] as (typeof era.members)[number]);
    if (owner === era.primaryAddress(partition)) continue;
    if (owner !== self && !replicas.isReplica(partition)) continue;
    const activation = `${index}`.padStart(21, 'x');
    const delta = replicas.groupsOf(partition).join(owner, id, { id: activation, since: 1_700_000_000_000 });
    bytes += pack(delta.entries, 'entries').length;
  }
  const heap = heapBytes() - before;
  // Read afterwards, so that what was measured was still there.
  if (!replicas.isPartition(0)) throw new Error('the directory is gone');
  return {
    [`directory: bytes of a silo, ${ACTIVATIONS.toLocaleString('en')} activations at their primaries`]:
      cell(0),
    'directory: the same, placed at random, in memory': cell(heap),
    'directory: the same, on the wire': cell(bytes),
  };
}

function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}
