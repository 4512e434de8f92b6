import { expect, test } from 'vitest';
import { mean, ScaleCluster } from './scale-cluster.ts';
import { grow } from './scale-measures.ts';

/** Costs of one silo, from clusters of 10 and of 50. */
interface Costs {
  readonly idleMessages: number;
  readonly idleBytes: number;
  readonly joinMessages: number;
  readonly joinBytes: number;
}

const IDLE_S = 5;

async function costsOf(silos: number): Promise<Costs> {
  const cluster = new ScaleCluster(1024);
  let costs: Costs | undefined;
  await cluster.run(async () => {
    await grow(cluster, silos, () => {});
    await cluster.sleep(1_000);
    cluster.resetTraffic();
    await cluster.sleep(1_000 * IDLE_S);
    const idle = cluster.traffic().mean;
    const idleMessages = idle.sent.messages / IDLE_S;
    const idleBytes = idle.sent.bytes / IDLE_S;
    cluster.resetTraffic();
    const late = await cluster.start('late');
    await cluster.settled();
    const join = cluster.traffic(late).mean;
    costs = { idleMessages, idleBytes, joinMessages: join.sent.messages, joinBytes: join.received.bytes };
  });
  return costs as Costs;
}

test('what a silo costs at rest, and at a join, does not grow with the cluster', async () => {
  const small = await costsOf(10);
  const large = await costsOf(50);
  expect(large.idleMessages).toBeLessThan(1.2 * small.idleMessages);
  expect(large.idleBytes).toBeLessThan(1.2 * small.idleBytes);
  // Two stages of a roll call, up and down, and heartbeats meanwhile; it was three messages for each silo.
  expect(large.joinMessages).toBeLessThan(8);
  expect(large.joinBytes).toBeLessThan(2 * small.joinBytes);
}, 30_000);

test('fifty silos know in a heartbeat that a process has ended, and settle in milliseconds', async () => {
  const cluster = new ScaleCluster(1024);
  await cluster.run(async () => {
    await grow(cluster, 50, () => {});
    await cluster.sleep(1_000);
    cluster.resetTraffic();
    cluster.crash('silo-7', 'process');
    const present = ({ runtime }: { runtime: { membership: { era: { present: { size: number } } } } }) =>
      runtime.membership.era.present.size;
    expect(await cluster.until((member) => present(member) === 49)).toBeLessThan(300);
    expect(await cluster.settled()).toBeLessThan(30);
    const told = cluster.kinds(['reached', 'allReached', 'news', 'settled']);
    expect(told).toBeLessThan(8);
    const reports = [...cluster.members.values()].map(
      ({ traffic }) => traffic.kinds.get('report')?.messages ?? 0,
    );
    expect(mean(reports)).toBeLessThan(3);
  });
}, 30_000);
