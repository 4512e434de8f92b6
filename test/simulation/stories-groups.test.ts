import { Grain, grain, mapGrains, method } from 'granary';
import { type SimulatedCluster, simulate } from 'granary/testing';
import { expect, test } from 'vitest';
import { seeds } from '../support/seeds.ts';

/** What each member has heard, by its key: not of the grain's, which may end and begin anew. */
type Heard = Map<string, string[]>;

let heard: Heard = new Map();

@grain()
class Member extends Grain {
  @method()
  async hear(what: string): Promise<void> {
    const all = heard.get(this.key) ?? [];
    heard.set(this.key, [...all, what]);
  }
}

const keys = Array.from({ length: 12 }, (_, n) => `m${n}`);
const GROUP = 'choir';

/** Each key joins on one of the silos; says which. */
async function joinAll(cluster: SimulatedCluster): Promise<Map<string, string>> {
  heard = new Map();
  const joinedOn = new Map<string, string>();
  for (const key of keys) {
    const silo = cluster.random.pick(cluster.names);
    joinedOn.set(key, silo);
    await cluster.silo(silo).groups.join(GROUP, cluster.grain(Member, key));
  }
  return joinedOn;
}

const publish = (cluster: SimulatedCluster, silo: string, what: string) =>
  cluster.silo(silo).groups.publish<Member>(GROUP, 'hear', what);

/** Until every silo sees as many members, as a story may expect once all has settled. */
async function until(cluster: SimulatedCluster, members: number): Promise<void> {
  const deadline = cluster.now + 30_000;
  for (const name of cluster.names) {
    while ((await cluster.silo(name).groups.members(GROUP)).length !== members) {
      expect(cluster.now, `${name} does not see ${members} members`).toBeLessThan(deadline);
      await cluster.sleep(50);
    }
  }
}

/** Each of these was heard once by all who should have, and not by anybody else. */
function expectHeard(what: string, by: readonly string[]): void {
  for (const key of keys) {
    const times = heard.get(key)?.filter((each) => each === what).length ?? 0;
    expect(times, `${key} hears ${what}`).toBe(by.includes(key) ? 1 : 0);
  }
}

test.each(seeds(5))(
  'what is published is heard at most once, whatever breaks, and by all when nothing does (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: 4, grains: [Member], faults: 'swarm' }, async (cluster) => {
      const joinedOn = await joinAll(cluster);
      for (let n = 0; n < 60; n++) {
        const silo = cluster.random.pick(cluster.names);
        if (silo) await publish(cluster, silo, `troubled ${n}`).catch(() => {}); // no replica can be asked
        await cluster.sleep(cluster.random.exponential(200));
      }
      await cluster.stopFaults();
      await cluster.settled();
      // Whoever had joined on a silo that has been away long enough to be forgotten joins again.
      for (const key of keys) {
        const silo = joinedOn.get(key) as string;
        const there = cluster.names.includes(silo) ? silo : (cluster.names[0] as string);
        await cluster.silo(there).groups.join(GROUP, cluster.grain(Member, key));
      }
      await until(cluster, keys.length);
      for (const name of cluster.names) {
        expect(await publish(cluster, name, `from ${name}`)).toBe(keys.length);
      }
      await cluster.sleep(2_000);
      for (const name of cluster.names) expectHeard(`from ${name}`, keys);
      for (const [key, all] of heard) expect(new Set(all).size, `${key} hears once`).toBe(all.length);
    });
  },
);

test.each(seeds(5))(
  'in a split each side is heard by its own members, and after it everybody by all (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: ['a', 'b', 'c', 'd'], grains: [Member] }, async (cluster) => {
      const joinedOn = await joinAll(cluster);
      const [left, right] = [cluster.names.slice(0, 2), cluster.names.slice(2)];
      const of = (side: readonly string[]) => keys.filter((key) => side.includes(joinedOn.get(key) ?? ''));
      const loud = cluster.random.chance(0.5);
      if (loud) cluster.partitionLoudly([...left, 'client'], right);
      else cluster.partition(left, right);
      await cluster.settled();
      for (const side of [left, right]) {
        const silo = cluster.random.pick(side);
        expect(await publish(cluster, silo, `to ${side}`)).toBe(of(side).length);
        await cluster.sleep(1_000);
        expectHeard(`to ${side}`, of(side));
      }
      cluster.heal();
      await cluster.settled();
      await until(cluster, keys.length);
      expect(await publish(cluster, cluster.random.pick(cluster.names), 'whole')).toBe(keys.length);
      await cluster.sleep(1_000);
      expectHeard('whole', keys);
    });
  },
);

test.each(seeds(4))(
  'a silo that crashes takes the members that joined on it, and no other (seed %i)',
  async (seed) => {
    await simulate({ seed, silos: ['a', 'b', 'c', 'd'], grains: [Member] }, async (cluster) => {
      const joinedOn = await joinAll(cluster);
      const lost = cluster.random.pick(cluster.names);
      const seen: string[] = [];
      const watcher = cluster.names.find((name) => name !== lost) as string;
      const watch = cluster.silo(watcher).groups.watch(GROUP);
      if (cluster.random.chance(0.5)) cluster.crash(lost);
      else cluster.vanish(lost);
      await cluster.settled();
      const left = keys.filter((key) => joinedOn.get(key) !== lost);
      await until(cluster, left.length);
      const items = await mapGrains(cluster.names, (name) => publish(cluster, name, `after, by ${name}`));
      expect(items).toEqual(cluster.names.map((ref) => ({ ref, value: left.length })));
      await cluster.sleep(1_000);
      for (const name of cluster.names) expectHeard(`after, by ${name}`, left);
      for (;;) {
        const { members } = (await watch.next()).value;
        seen.push(String(members.length));
        if (members.length === left.length) break;
      }
      await watch.return?.();
    });
  },
);
