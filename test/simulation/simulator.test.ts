import { Grain, grain, InvalidConfigError, method, state } from 'granary';
import { type SimulatedCluster, type SimulateOptions, SimulationError, simulate } from 'granary/testing';
import { describe, expect, test } from 'vitest';

@grain()
class Counter extends Grain {
  @state() count = 0;

  @method()
  async increment(): Promise<number> {
    this.count++;
    await this.save();
    return this.count;
  }

  @method()
  async failLater(): Promise<void> {
    setTimeout(() => {
      throw new Error('a timer of a grain has failed');
    }, 5);
  }
}

const grains = [Counter];

/** Callers that call until a time, whatever happens. */
async function traffic(cluster: SimulatedCluster, untilMs = 3_000): Promise<void> {
  const caller = async () => {
    while (cluster.now < untilMs) {
      const counter = cluster.grain(Counter, cluster.random.below(10));
      await counter.increment().catch(() => {});
      await cluster.sleep(cluster.random.between(1, 50));
    }
  };
  await Promise.all(Array.from({ length: 5 }, caller));
}

const run = (seed: number, options: Partial<SimulateOptions> = {}) =>
  simulate({ seed, grains, ...options }, traffic);

async function failure(doing: Promise<unknown>): Promise<SimulationError> {
  const error = await doing.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(SimulationError);
  return error as SimulationError;
}

describe('the same seed', () => {
  test.each([1, 2, 3])(
    'makes the same run twice, whatever ran in between, in trouble too: %i',
    async (seed) => {
      const options = { faults: 'swarm', silos: 5 } as const;
      const one = await run(seed, options);
      await run(seed + 100);
      expect(await run(seed, options)).toEqual(one);
    },
  );

  test('makes the same run beside another simulation and beside real timers', async () => {
    const alone = await run(4, { faults: 'swarm' });
    const other = await run(5);
    let ticks = 0;
    const interval = setInterval(() => ticks++, 1);
    const together = await Promise.all([run(4, { faults: 'swarm' }), run(5), run(4, { faults: 'swarm' })]);
    clearInterval(interval);
    expect(together).toEqual([alone, other, alone]);
    expect(ticks).toBeGreaterThan(0);
  });

  test('makes the same run with a trace as without one', async () => {
    const lines: string[] = [];
    const traced = await run(6, { trace: (line) => lines.push(line) });
    expect(traced).toEqual(await run(6));
    expect(lines.length).toBeGreaterThan(100);
    expect(lines.some((line) => /ms {2}client\S* +callSettled .*Counter\//.test(line))).toBe(true);
  });

  test('makes another run under every other seed', async () => {
    const hashes = [];
    for (let seed = 0; seed < 10; seed++) hashes.push((await run(seed)).traceHash);
    hashes.push((await run(2 ** 52)).traceHash);
    expect(new Set(hashes).size).toBe(hashes.length);
  });
});

describe('a story that fails', () => {
  test('is rejected with its seed, the time and what happened last', async () => {
    const broken = new Error('ada has lost a cent');
    const error = await failure(
      simulate({ seed: 77, grains }, async (cluster) => {
        await cluster.grain(Counter, 'ada').increment();
        cluster.note('now it breaks');
        throw broken;
      }),
    );
    expect(error).toMatchObject({ name: 'SimulationError', seed: 77, cause: broken });
    expect(error.message).toMatch(/^seed 77, after \d+ events, at [\d.]+ ms: ada has lost a cent\n/);
    expect(error.history.at(-1)).toContain('--- now it breaks');
    expect(error.message).toContain('--- now it breaks');
    expect(error.history.join('\n')).toMatch(/callSettled .*Counter\/ada/);
  });

  test('fails in the same way again', async () => {
    const story = async (cluster: SimulatedCluster) => {
      await traffic(cluster, 1_000 * cluster.random.next());
      throw new Error('enough');
    };
    const [one, other] = [
      await failure(simulate({ seed: 8, grains }, story)),
      await failure(simulate({ seed: 8, grains }, story)),
    ];
    expect(one.message).toBe(other.message);
    expect(one.history).toEqual(other.history);
  });

  test('is rejected when it waits longer than it may', async () => {
    const endless = simulate({ seed: 1, grains, maxMs: 10_000 }, () => new Promise(() => {}));
    const error = await failure(endless);
    expect(error.message).toContain('the story has not ended after 10000 ms');
    expect(error.virtualMs).toBeGreaterThanOrEqual(10_000);
    expect(error.virtualMs).toBeLessThan(10_002);
  });

  test('is rejected when an exception ends the process that a grain lives in', async () => {
    const error = await failure(
      simulate({ seed: 1, grains }, async (cluster) => {
        await cluster.grain(Counter, 'x').failLater();
        await cluster.sleep(1_000);
      }),
    );
    expect(error.message).toMatch(/an exception ended the process of [abc]: a timer of a grain has failed/);
  });

  test('is rejected when a silo keeps a timer after it has stopped', async () => {
    @grain()
    class Ticking extends Grain {
      @method()
      async tick(): Promise<void> {
        setInterval(() => {}, 1_000);
      }
    }
    const error = await failure(
      simulate({ seed: 1, grains: [Ticking] }, (cluster) => cluster.grain(Ticking, 'x').tick()),
    );
    expect(error.message).toMatch(/after all silos have stopped: [abc] has 1 timers/);
  });
});

describe('options', () => {
  test.each<[string, Partial<Record<keyof SimulateOptions, unknown>>]>([
    ['seed is 1.5', { seed: 1.5 }],
    ['seed is -1', { seed: -1 }],
    ['seed is undefined', { seed: undefined }],
    ['seed is 4503599627370497', { seed: 2 ** 52 + 1 }],
    ['grains is empty', { grains: [] }],
    ['silos is 0', { silos: 0 }],
    ['silos is 2.5', { silos: 2.5 }],
    ['silos is empty', { silos: [] }],
    [`silo 'a b'`, { silos: ['a b'] }],
    [`silo 'client'`, { silos: ['a', 'client'] }],
    ['a name is there twice', { silos: ['a', 'a'] }],
    [`no fault 'crsh'; there are: crash, vanish`, { faults: ['crsh'] }],
    [`faults is all`, { faults: 'all' }],
    ['maxMs is 0', { maxMs: 0 }],
    ['maxMs is NaN', { maxMs: Number.NaN }],
  ])('that are none are refused: %s', async (message, options) => {
    const refused = simulate({ seed: 1, grains, ...options } as SimulateOptions, traffic);
    await expect(refused).rejects.toThrow(InvalidConfigError);
    await expect(refused).rejects.toThrow(message);
  });

  test('may name as many silos as one likes', async () => {
    const names: string[][] = [];
    const note = async (cluster: SimulatedCluster) => void names.push(cluster.names);
    await simulate({ seed: 1, grains, silos: 1 }, note);
    await simulate({ seed: 1, grains, silos: ['x', 'y'] }, note);
    await simulate({ seed: 1, grains }, note);
    expect(names).toEqual([['a'], ['x', 'y'], ['a', 'b', 'c']]);
  });

  test('a simulation within a simulation is refused', async () => {
    const inner: Promise<unknown>[] = [];
    await simulate({ seed: 1, grains }, async () => {
      inner.push(simulate({ seed: 2, grains }, traffic));
      await Promise.allSettled(inner);
    });
    await expect(inner[0]).rejects.toThrow('a simulation cannot run within another one');
  });

  test.each([
    [{ los: 0.1 }, /no condition 'los'; there are: latencyMs, jitterMs, loss/],
    [{ loss: 2 }, /loss is 2; it must be from 0 to 1/],
    [{ latencyMs: -1 }, /latencyMs is -1; it must be 0 or more/],
  ])('conditions that there are not are refused: %o', async (conditions, message) => {
    const error = await failure(
      simulate({ seed: 1, grains }, async (cluster) => cluster.setNetwork(conditions as object)),
    );
    expect(error.cause).toBeInstanceOf(InvalidConfigError);
    expect(error.message).toMatch(message);
  });
});

/**
 * A quiet core does several times as much; this bound only tells a slow simulator from a slow machine that is
 * shared.
 */
test('a simulator does at least 15,000 things a second', async () => {
  const busy = async (cluster: SimulatedCluster) => {
    const caller = async (_: unknown, i: number) => {
      for (let n = 0; n < 500; n++) await cluster.grain(Counter, (i * 500 + n) % 200).increment();
    };
    await Promise.all(Array.from({ length: 20 }, caller));
  };
  let best = 0;
  for (let round = 0; round < 5 && best < 50_000; round++) {
    const start = process.cpuUsage();
    const { events } = await simulate({ seed: 1, grains, silos: 5 }, busy);
    const { user, system } = process.cpuUsage(start);
    best = Math.max(best, (events / (user + system)) * 1e6);
  }
  console.log(`${Math.round(best / 1_000)},000 events a second of processor time`);
  expect(best).toBeGreaterThan(15_000);
});
