import { readFileSync } from 'node:fs';
import { Grain, GranaryError, grain, method, state } from 'granary';
import {
  checkLinearizable,
  type Operation,
  type RegisterInput,
  type RegisterOutput,
  registerModel,
  type SimulatedCluster,
  type SimulateOptions,
  SimulationError,
  simulate,
  sweep,
  TestCluster,
} from 'granary/testing';
import { expect, test } from 'vitest';

// The code of docs/testing.md, in its order. The last test compares.

@grain()
class Basket extends Grain {
  @state() items: string[] = [];

  @method({ idempotent: true })
  async add(item: string): Promise<void> {
    if (this.items.includes(item)) return;
    this.items.push(item);
    await this.save();
  }

  @method({ readOnly: true })
  async list(): Promise<string[]> {
    return this.items;
  }
}

test('a basket outlives the silo that it is on', async () => {
  await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c'], grains: [Basket] });
  const basket = cluster.grain(Basket, 'ada');
  await basket.add('tea');
  const [{ silo } = { silo: '' }] = cluster.activationsOf(Basket, 'ada');
  cluster.crash(silo);
  expect(await basket.list()).toEqual(['tea']);
});

test('a basket lasts ten minutes, in a moment', async () => {
  const report = await simulate({ seed: 7, grains: [Basket] }, async (cluster) => {
    for (let minute = 1; minute <= 10; minute++) {
      await cluster.grain(Basket, 'ada').add(`item ${minute}`);
      await cluster.sleep(60_000);
    }
    expect(await cluster.grain(Basket, 'ada').list()).toHaveLength(10);
  });
  expect(report.virtualMs).toBeGreaterThan(600_000);
});

test('a basket is the same on both sides when a split has healed', async () => {
  await simulate({ seed: 7, silos: ['a', 'b', 'c'], grains: [Basket] }, async (cluster) => {
    const basket = cluster.grain(Basket, 'ada');
    await basket.add('tea');
    const [{ silo } = { silo: '' }] = cluster.activationsOf(Basket, 'ada');
    const others = cluster.names.filter((name) => name !== silo);
    cluster.partition(others, [silo]); // The client stays with the first group.
    await basket.add('milk'); // An activation on the other side takes over.
    cluster.heal();
    await cluster.settled();
    expect(await basket.list()).toEqual(['tea', 'milk']);
    expect(cluster.activationsOf(Basket, 'ada')).toHaveLength(1);
  });
});

/** True: it was answered. False: trouble got in its way, and nobody knows whether it ran. */
async function attempt(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    if (error instanceof GranaryError && error.retryable) return false;
    throw error; // Not what trouble does: a defect.
  }
}

async function shopping(cluster: SimulatedCluster): Promise<void> {
  const customers = ['ada', 'bob', 'eve'];
  const promised: Record<string, string[]> = { ada: [], bob: [], eve: [] };

  // The workload: whatever happens, it goes on.
  const shop = async (customer: string) => {
    for (let n = 1; n <= 20; n++) {
      const item = `item ${n}`;
      if (await attempt(cluster.grain(Basket, customer).add(item))) promised[customer]?.push(item);
      await cluster.sleep(cluster.random.between(0, 500));
    }
  };
  await Promise.all(customers.map(shop));

  // The expectations: when all trouble has ended, nothing promised is missing, nothing is there twice.
  await cluster.stopFaults();
  await cluster.settled();
  for (const customer of customers) {
    const items = await cluster.grain(Basket, customer).list();
    expect(items).toEqual(expect.arrayContaining(promised[customer] ?? []));
    expect(new Set(items).size).toBe(items.length);
  }
}

const seeds = Array.from({ length: Number(process.env.SEEDS ?? 10) }, (_, i) => i + 1);

test.each(seeds)('baskets keep what is in them: seed %i', async (seed) => {
  await simulate({ seed, silos: 5, grains: [Basket], faults: 'swarm' }, shopping);
});

test('no seed of many finds anything wrong with baskets', async () => {
  const { failures } = await sweep({ seeds: 20, grains: [Basket], faults: 'swarm' }, shopping);
  expect(failures.map(({ message, faults }) => ({ message, faults }))).toEqual([]);
});

test('a failure says how to have it again', async () => {
  const unpaid = async (cluster: SimulatedCluster) => {
    await shopping(cluster);
    throw new Error('nobody has paid');
  };
  const failure = async (faults: SimulateOptions['faults'] & {}) => {
    const failed = await simulate({ seed: 4, grains: [Basket], faults }, unpaid).catch((error) => error);
    if (failed instanceof SimulationError) return failed;
    throw failed;
  };
  const first = await failure('swarm');
  expect(first.message).toMatch(/^seed 4, after \d+ events, at [\d.]+ ms: nobody has paid/);
  const again = await failure(first.faults); // Or fewer of them: which are needed?
  expect(again.events).toBe(first.events);
});

test('a trace tells every step', async () => {
  const lines: string[] = [];
  const trace = (line: string) => lines.push(line); // Or console.log.
  await simulate({ seed: 4, silos: 5, grains: [Basket], faults: 'swarm', trace }, shopping);
  expect(lines.join('\n')).toContain('callSettled grain=Basket/ada method=add');
});

test('the same seed is the same run', async () => {
  const run = () => simulate({ seed: 7, grains: [Basket], faults: 'swarm' }, shopping);
  expect(await run()).toEqual(await run());
});

@grain()
class Setting extends Grain {
  @state() value = 0;

  @method()
  async write(value: number): Promise<undefined> {
    this.value = value;
    await this.save();
  }

  @method({ readOnly: true })
  async read(): Promise<number> {
    return this.value;
  }
}

test.each(seeds)('a setting behaves as if there were but one: seed %i', async (seed) => {
  const history: Operation<RegisterInput<number>, RegisterOutput<number>>[] = [];
  await simulate({ seed, grains: [Setting], faults: ['crash', 'leave', 'join'] }, async (cluster) => {
    const setting = cluster.grain(Setting, 'x');
    const use = async (_: unknown, index: number) => {
      for (let n = 1; n <= 30; n++) {
        const value = index * 1_000 + n; // Every write brings a value of its own.
        const reads = cluster.random.chance(0.5);
        const input = reads ? ({ type: 'read' } as const) : ({ type: 'write', value } as const);
        const invokedAt = cluster.now;
        const returned = await (reads ? setting.read() : setting.write(value)).then(
          (output) => ({ output, at: cluster.now }),
          () => undefined, // Nobody knows whether it ran.
        );
        history.push({ caller: `caller ${index}`, key: 'x', input, invokedAt, returned });
        await cluster.sleep(cluster.random.between(0, 200));
      }
    };
    await Promise.all(Array.from({ length: 4 }, use));
  });
  const result = checkLinearizable(registerModel(0), history);
  expect(result.linearizable, 'explanation' in result ? result.explanation : '').toBe(true);
});

test('the code in docs/testing.md is this code', () => {
  const here = readFileSync(new URL(import.meta.url), 'utf8');
  const guide = readFileSync(new URL('../../docs/testing.md', import.meta.url), 'utf8');
  const blocks = [...guide.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code = '']) => code);
  expect(blocks.length).toBeGreaterThan(5);
  for (const code of blocks) {
    const [imports = [], rest = []] = [true, false].map((wanted) =>
      code.split('\n').filter((line) => line.startsWith('import ') === wanted),
    );
    expect(here).toContain(rest.join('\n').trim());
    for (const line of imports) {
      const [, names = '', from = ''] = line.match(/^import \{ (.*) \} from '(.*)';$/) ?? [];
      for (const name of names.split(', '))
        expect(here, line).toMatch(new RegExp(`\\b${name}\\b[^;]*'${from}'`));
    }
  }
});
