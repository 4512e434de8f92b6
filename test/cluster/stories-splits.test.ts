import { Grain, grain, method, StateConflictError, state } from 'granary';
import { TestCluster } from 'granary/testing';
import { expect, test } from 'vitest';

@grain()
class Account extends Grain {
  @state() entries: string[] = [];

  @method()
  async add(entry: string): Promise<string[]> {
    this.entries.push(entry);
    await this.save();
    return this.entries;
  }

  @method({ readOnly: true })
  async read(): Promise<string[]> {
    return this.entries;
  }

  @method({ readOnly: true })
  async whoAmI(): Promise<string> {
    return this.context.activationId;
  }

  @method()
  async slowly(gate: number): Promise<string> {
    await gates[gate];
    return this.context.activationId;
  }
}

const gates: Promise<void>[] = [];
const keys = (count: number) => Array.from({ length: count }, (_, i) => `k${i}`);

/** A turn that somebody ends later. */
function gate(): { number: number; open: () => void } {
  let open = () => {};
  const number = gates.push(
    new Promise((resolve) => {
      open = resolve;
    }),
  );
  return { number: number - 1, open };
}

/** Everybody who can call, by name. */
const callers = (cluster: TestCluster, names = cluster.names) =>
  names.map((name) => ({ name, grain: (key: string) => cluster.silo(name).grain(Account, key) }));

async function expectOneEach(cluster: TestCluster, all: readonly string[]): Promise<void> {
  for (const key of all) {
    const seen = await Promise.all(callers(cluster).map(({ grain }) => grain(key).whoAmI()));
    expect(new Set(seen).size, key).toBe(1);
    expect(cluster.activationsOf(Account, key)).toMatchObject([{ activationId: seen[0] }]);
  }
}

test('in two halves each half has its own activations, and after the heal there is one of each', async () => {
  await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c', 'd', 'e'], grains: [Account] });
  cluster.partition(['a', 'b', 'c'], ['d', 'e']);
  await cluster.settled();
  for (const key of keys(40)) {
    const left = await Promise.all(callers(cluster, ['a', 'b', 'c']).map(({ grain }) => grain(key).whoAmI()));
    const right = await Promise.all(callers(cluster, ['d', 'e']).map(({ grain }) => grain(key).whoAmI()));
    expect([new Set(left).size, new Set(right).size, new Set([...left, ...right]).size]).toEqual([1, 1, 2]);
    expect(cluster.activationsOf(Account, key)).toHaveLength(2);
  }
  cluster.heal();
  await cluster.settled();
  await expectOneEach(cluster, keys(40));
});

test('in three parts every part serves, and after the heal there is one of each', async () => {
  await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c'], grains: [Account] });
  cluster.partition(['a'], ['b', 'c']);
  cluster.partition(['b'], ['c']);
  await cluster.settled();
  for (const key of keys(30)) {
    const seen = await Promise.all(callers(cluster).map(({ grain }) => grain(key).whoAmI()));
    expect(new Set(seen).size).toBe(3);
  }
  cluster.heal();
  await cluster.settled();
  await expectOneEach(cluster, keys(30));
});

test('what either side acknowledged is there after the heal, and nothing else', async () => {
  await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c'], grains: [Account] });
  const acknowledged = new Map(keys(40).map((key) => [key, ['before']]));
  for (const key of keys(40)) await cluster.grain(Account, key).add('before');
  cluster.partition(['a', 'b'], ['c']);
  await cluster.settled();
  let conflicts = 0;
  for (const [i, key] of keys(40).entries()) {
    const sides = i % 2 === 0 ? ['a', 'c', 'b'] : ['c', 'b', 'c'];
    for (const [turn, name] of sides.entries()) {
      const entry = `${name} ${turn}`;
      try {
        await cluster.silo(name).grain(Account, key).add(entry);
        acknowledged.get(key)?.push(entry);
      } catch (error) {
        expect(error).toBeInstanceOf(StateConflictError);
        conflicts++;
      }
    }
  }
  expect(conflicts).toBeGreaterThan(0);
  cluster.heal();
  await cluster.settled();
  for (const [key, entries] of acknowledged)
    expect(await cluster.grain(Account, key).read(), key).toEqual(entries);
  await expectOneEach(cluster, keys(40));
});

test('reads after the heal see what the other side wrote last, at once and from everywhere', async () => {
  await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c', 'd'], grains: [Account] });
  for (const key of keys(30)) await cluster.grain(Account, key).add('before');
  cluster.partition(['a', 'b'], ['c', 'd']);
  await cluster.settled();
  // Both sides hold the grain in memory; only one of them writes.
  for (const [i, key] of keys(30).entries()) {
    const [writer, reader] = i % 2 === 0 ? ['a', 'c'] : ['d', 'b'];
    await cluster
      .silo(reader as string)
      .grain(Account, key)
      .read();
    await cluster
      .silo(writer as string)
      .grain(Account, key)
      .add('meanwhile');
    expect(
      await cluster
        .silo(reader as string)
        .grain(Account, key)
        .read(),
    ).toEqual(['before']);
  }
  cluster.heal();
  await cluster.settled();
  for (const key of keys(30)) {
    const seen = await Promise.all(callers(cluster).map(({ grain }) => grain(key).read()));
    for (const each of seen) expect(each, key).toEqual(['before', 'meanwhile']);
  }
});

test('what a silo wrote that was cut off and died there is seen when it has been started again', async () => {
  await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c'], grains: [Account] });
  for (const key of keys(30)) await cluster.grain(Account, key).add('before');
  cluster.partition(['a', 'b'], ['c']);
  await cluster.settled();
  for (const key of keys(30)) {
    expect(await cluster.grain(Account, key).read()).toEqual(['before']);
    await cluster.silo('c').grain(Account, key).add('alone');
  }
  cluster.crash('c');
  cluster.heal();
  await cluster.start('c');
  await cluster.settled();
  for (const key of keys(30)) {
    const seen = await Promise.all(callers(cluster).map(({ grain }) => grain(key).read()));
    for (const each of seen) expect(each, key).toEqual(['before', 'alone']);
  }
});

test('calls that wait for the loser of a conflict are answered by the winner', async () => {
  await using cluster = await TestCluster.start({ silos: ['a', 'b'], grains: [Account] });
  const conflicts: string[] = [];
  cluster.subscribe((_silo, event) => {
    if (event.type === 'conflictResolved') conflicts.push(event.grain);
  });
  cluster.partition(['a'], ['b']);
  await cluster.settled();
  const running = await Promise.all(
    ['a', 'b'].map(async (name) => {
      const { number, open } = gate();
      const { grain } = callers(cluster, [name])[0] as ReturnType<typeof callers>[number];
      const id = await grain('x').whoAmI();
      const turn = grain('x').slowly(number);
      const waiting = [grain('x').slowly(number), grain('x').slowly(number)];
      return { id, open, turn, waiting };
    }),
  );
  cluster.heal();
  await expect.poll(() => conflicts, { timeout: 10_000 }).toEqual(['Account/x']);
  for (const { open } of running) open();
  const [left] = await (async () => {
    await cluster.settled();
    return cluster.activationsOf(Account, 'x');
  })();
  for (const { id, turn, waiting } of running) {
    expect(await turn).toBe(id);
    for (const call of waiting) expect(await call).toBe(left?.activationId);
  }
});

test('a read whose silo is cut off is tried again on this side, where later calls are served', async () => {
  await using cluster = await TestCluster.start({ silos: ['a', 'b'], grains: [Account] });
  for (const key of keys(20)) await cluster.grain(Account, key).read();
  cluster.partition(['a'], ['b']);
  const outcomes = await Promise.allSettled(keys(20).map((key) => cluster.grain(Account, key).whoAmI()));
  for (const outcome of outcomes) expect(outcome.status).toBe('fulfilled');
  await cluster.settled();
  for (const key of keys(20)) expect(await cluster.grain(Account, key).add('x')).toEqual(['x']);
});

test('a cluster that splits and heals again and again ends with one activation of each grain', async () => {
  await using cluster = await TestCluster.start({
    silos: ['a', 'b', 'c'],
    grains: [Account],
    options: { detection: { heartbeatMs: 50, probeMs: 120, suspectMs: 300 } },
  });
  for (let round = 0; round < 4; round++) {
    const [one, ...others] = ['a', 'b', 'c'].map((_, i, all) => all[(i + round) % 3] as string);
    cluster.partition([one as string], others);
    await expect.poll(() => cluster.silo(one as string).silos, { timeout: 5_000 }).toEqual([one]);
    const calls = callers(cluster).flatMap(({ grain }) => keys(15).map((key) => grain(key).whoAmI()));
    await Promise.allSettled(calls);
    cluster.heal();
    if (round % 2 === 0)
      await expect.poll(() => cluster.silo(one as string).silos, { timeout: 5_000 }).toHaveLength(3);
  }
  await cluster.settled();
  await expectOneEach(cluster, keys(15));
});
