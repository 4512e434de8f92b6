import {
  Grain,
  type GranaryError,
  grain,
  LIMITS,
  method,
  type RetryOptions,
  type RuntimeEvent,
  Silo,
  state,
} from 'granary';
import { type SimulatedCluster, simulate } from 'granary/testing';
import { describe, expect, test } from 'vitest';
import { failure } from '../support/places.ts';
import { seeds } from '../support/seeds.ts';

/** May pass, as its thrower says. */
class Busy extends Error {
  readonly retryable = true;
}

/** When the turns of the story at hand began, in virtual time. */
let began: number[] = [];
let received: unknown[] = [];

@grain()
class Patient extends Grain {
  /** Fails the first `times` times. */
  @method({ idempotent: true })
  async settle(times: number, value?: unknown): Promise<number> {
    began.push(Date.now());
    received.push(value);
    if (began.length <= times) throw new Busy(`busy, ${began.length}`);
    return began.length;
  }

  @method({ readOnly: true })
  async refuse(): Promise<void> {
    began.push(Date.now());
    throw new TypeError('never');
  }

  /** The first call is answered to nobody. */
  @method({ readOnly: true })
  async hang(): Promise<number> {
    began.push(Date.now());
    const turn = began.length;
    if (turn === 1) await new Promise((resolve) => setTimeout(resolve, 3_000));
    return turn;
  }

  @method({ readOnly: true, retry: { attempts: 3, delayMs: 10 } })
  async read(): Promise<void> {
    began.push(Date.now());
    throw new Busy('busy');
  }

  @method({ idempotent: true })
  async ask(key: string): Promise<number> {
    return this.grain(Patient, key)
      .$with({ retry: { attempts: LIMITS.attempts, delayMs: 100, maxDelayMs: 100 } })
      .settle(LIMITS.attempts);
  }

  @method()
  async once(): Promise<number> {
    began.push(Date.now());
    throw new Busy('busy');
  }

  @method({ readOnly: true })
  async *items(): AsyncGenerator<number> {
    yield 1;
  }
}

/** One story, with nothing in its way. */
async function story(run: (cluster: SimulatedCluster) => Promise<void>, seed = 1): Promise<void> {
  began = [];
  received = [];
  await simulate({ seed, silos: ['a', 'b'], grains: [Patient] }, run);
}

const patient = (cluster: SimulatedCluster, retry: RetryOptions, timeoutMs = 60_000) =>
  cluster.grain(Patient, 'x').$with({ retry, timeoutMs });

describe('a call with retry', () => {
  test('is made again until it is answered', () =>
    story(async (cluster) => {
      const retries: RuntimeEvent[] = [];
      cluster.silo('a').subscribe((event) => retries.push(event), ['callRetried']);
      const ref = cluster.silo('a').grain(Patient, 'x');
      expect(await ref.$with({ retry: { attempts: 5 } }).settle(3)).toBe(4);
      expect(retries).toMatchObject(
        [1, 2, 3].map((n) => ({ grain: 'Patient/x', method: 'settle', reason: `busy, ${n}` })),
      );
      expect(retries.map((event) => (event as { error?: unknown }).error)).toEqual([
        expect.any(Error),
        expect.any(Error),
        expect.any(Error),
      ]);
    }));

  test('is made as often as was asked for, and fails with what it failed with last', () =>
    story(async (cluster) => {
      await expect(patient(cluster, { attempts: 3 }).settle(10)).rejects.toThrow('busy, 3');
      expect(began).toHaveLength(3);
      await expect(patient(cluster, { attempts: 1 }).settle(10)).rejects.toThrow('busy, 4');
    }));

  test('is not made again when the error will not pass', () =>
    story(async (cluster) => {
      await expect(patient(cluster, { attempts: 3 }).refuse()).rejects.toThrow(new TypeError('never'));
      expect(began).toHaveLength(1);
    }));

  test('pauses for random parts of a time that doubles up to a limit', () =>
    story(async (cluster) => {
      cluster.setNetwork({ latencyMs: 0, jitterMs: 0 });
      const retry = { attempts: 8, delayMs: 100, maxDelayMs: 800 };
      const limits = [100, 200, 400, 800, 800, 800, 800];
      const parts: number[] = [];
      for (let n = 0; n < 30; n++) {
        began = [];
        await failure(patient(cluster, retry).settle(100));
        for (const [i, limit] of limits.entries()) {
          parts.push(((began[i + 1] as number) - (began[i] as number)) / limit);
        }
      }
      // A millisecond for the way there and back, and for whole milliseconds.
      expect(Math.max(...parts)).toBeLessThan(1.02);
      const mean = parts.reduce((a, b) => a + b) / parts.length;
      expect(mean).toBeGreaterThan(0.4);
      expect(mean).toBeLessThan(0.6);
      expect(parts.filter((part) => part < 0.1).length).toBeGreaterThan(5);
      expect(parts.filter((part) => part > 0.9).length).toBeGreaterThan(5);
    }));

  test('asks again when an attempt takes too long, and by default does not', () =>
    story(async (cluster) => {
      const start = cluster.now;
      expect(await patient(cluster, { attempts: 2, attemptTimeoutMs: 500, delayMs: 1 }).hang()).toBe(2);
      expect(cluster.now - start).toBeLessThan(600);
      began = [];
      const slow = failure(patient(cluster, { attempts: 2 }, 1_000).hang());
      expect(await slow).toMatchObject({ code: 'CALL_TIMEOUT' });
      expect(began).toHaveLength(1);
    }));

  test('ends by its deadline, however long an attempt may take', () =>
    story(async (cluster) => {
      const start = cluster.now;
      const slow = patient(cluster, { attempts: 2, attemptTimeoutMs: 10_000, delayMs: 1 }, 1_000).hang();
      expect(await failure(slow)).toMatchObject({ code: 'CALL_TIMEOUT' });
      expect(cluster.now - start).toBeLessThan(1_100);
    }));

  test('ends by its deadline, with the error that says more than that', () =>
    story(async (cluster) => {
      const retry = { attempts: LIMITS.attempts, delayMs: 400, maxDelayMs: 400 };
      for (let n = 0; n < 20; n++) {
        const start = cluster.now;
        await expect(patient(cluster, retry, 1_000).settle(100_000)).rejects.toThrow('busy');
        expect(cluster.now - start).toBeLessThanOrEqual(1_001);
      }
    }));

  test('of a grain ends by the deadline of the call that makes it', () =>
    story(async (cluster) => {
      const start = cluster.now;
      await expect(cluster.grain(Patient, 'x').$with({ timeoutMs: 2_000 }).ask('y')).rejects.toThrow();
      expect(cluster.now - start).toBeLessThanOrEqual(2_001);
      const turns = began.length;
      await cluster.sleep(5_000);
      expect(began.length).toBe(turns);
      expect(turns).toBeGreaterThan(10);
    }));

  test('can be cancelled while it pauses', () =>
    story(async (cluster) => {
      const cancelling = new AbortController();
      const retry = { attempts: 3, delayMs: 20_000, maxDelayMs: 20_000 };
      const call = failure(patient(cluster, retry).$with({ signal: cancelling.signal }).settle(10));
      await cluster.sleep(100);
      expect(began).toHaveLength(1);
      cancelling.abort(new Error('enough'));
      const now = cluster.now;
      expect(await call).toMatchObject({ code: 'CALL_CANCELLED', cause: { message: 'enough' } });
      expect(cluster.now).toBe(now);
    }));

  test('sends what its arguments were when it was made', () =>
    story(async (cluster) => {
      const value = { n: 1 };
      const call = patient(cluster, { attempts: 3 }).settle(2, value);
      value.n = 2;
      await call;
      expect(received).toEqual([{ n: 1 }, { n: 1 }, { n: 1 }]);
    }));

  test('takes the choice of its method, unless its caller has another', () =>
    story(async (cluster) => {
      await failure(cluster.grain(Patient, 'x').read());
      expect(began).toHaveLength(3);
      began = [];
      await failure(patient(cluster, { attempts: 1 }).read());
      expect(began).toHaveLength(1);
      began = [];
      await cluster.grain(Patient, 'x').$with({ oneWay: true }).read();
      await cluster.sleep(1_000);
      expect(began).toHaveLength(1);
    }));

  test('fails with its last error when its node stops meanwhile, and leaves nothing behind', () =>
    story(async (cluster) => {
      const retry = { attempts: 3, delayMs: 20_000, maxDelayMs: 20_000 };
      const ref = cluster.silo('a').grain(Patient, 'x').$with({ retry, timeoutMs: 60_000 });
      const call = failure(ref.settle(10));
      await cluster.sleep(100);
      await cluster.stop('a');
      const stoppedAt = cluster.now;
      expect(await call).toMatchObject({ message: 'busy, 1' });
      expect(cluster.now).toBe(stoppedAt);
    }));
});

describe('a call that may run once only', () => {
  const retry = { attempts: 3 };

  test('is refused with retry, before it is sent', () =>
    story(async (cluster) => {
      const error = await failure(patient(cluster, retry).once());
      expect(error).toMatchObject({ code: 'INVALID_CONFIG', grain: 'Patient/x' });
      expect(error.message).toMatch(/^Patient\/x\.once cannot be called with retry: it may run once only/);
      expect(began).toEqual([]);
    }));

  test('is refused where nobody knows whether it may run twice', () =>
    story(async (cluster) => {
      await using foreign = await Silo.start({ grains: [Other], log: 'silent' });
      const unknown = foreign.grain<Patient>('Patient', 'x').$with({ retry }).settle(0);
      expect((await failure(unknown)).message).toContain('this process does not have the class');
      expect(cluster.names).toEqual(['a', 'b']);
    }));

  test('is refused as a one-way call and as a stream', () =>
    story(async (cluster) => {
      const oneWay = failure(patient(cluster, retry).$with({ oneWay: true }).settle(0));
      expect((await oneWay).message).toContain('nobody learns the outcome of a one-way call');
      const stream = failure(patient(cluster, retry).items().next());
      expect((await stream).message).toContain('Patient/x.items is a stream and cannot be called with retry');
    }));
});

@grain()
class Other extends Grain {
  @method()
  async run(): Promise<void> {}
}

test.each([
  [{ attempts: 0 }, 'retry: attempts is 0; it must be a whole number from 1 to 1000'],
  [{ attempts: 1.5 }, 'retry: attempts is 1.5'],
  [{}, 'retry: attempts is undefined'],
  [{ attempts: 3, delay: 5 }, "retry: there is no option 'delay'"],
  [{ attempts: 3, delayMs: 0 }, 'retry: delayMs is 0'],
  [{ attempts: 3, attemptTimeoutMs: Number.NaN }, 'retry: attemptTimeoutMs is NaN'],
  [5, 'retry is no object'],
])('retry: %j is refused when it is given', async (retry, message) => {
  await using silo = await Silo.start({ grains: [Patient], log: 'silent' });
  const ref = silo.grain(Patient, 'x');
  expect(() => ref.$with({ retry } as never)).toThrow(message);
  expect(() => {
    const options = { readOnly: true, retry } as never;
    @grain()
    class Wrong extends Grain {
      @method(options)
      async run(): Promise<void> {}
    }
    silo.grain(Wrong, 'x');
  }).toThrow(message);
});

test.each([
  [{ retry: { attempts: 2 } }, 'retry is for methods that may run twice'],
  [{ retry: { attempts: 2 }, readOnly: true, oneWay: true }, 'nobody learns the outcome'],
])('@method(%j) is refused', async (options, message) => {
  await using silo = await Silo.start({ grains: [Patient], log: 'silent' });
  @grain()
  class Wrong extends Grain {
    @method(options)
    async run(): Promise<void> {}
  }
  expect(() => silo.grain(Wrong, 'x')).toThrow(message);
});

@grain()
class Register extends Grain {
  @state() value = 0;

  @method({ idempotent: true })
  async raise(value: number): Promise<number> {
    this.value = Math.max(this.value, value);
    await this.save();
    return this.value;
  }

  @method({ readOnly: true })
  async read(): Promise<number> {
    return this.value;
  }
}

@grain()
class Sum extends Grain {
  @state() sum = 0;

  @method()
  async add(n: number): Promise<number> {
    this.sum += n;
    await this.save();
    return this.sum;
  }
}

/** All silos crash, and come again a while later; what the store says is often an error. */
async function ruin(cluster: SimulatedCluster, times: number): Promise<void> {
  const names = [...cluster.names];
  cluster.setStores({ errors: 0.1, errorsAfterWrite: 0.1, latencyMs: 5 });
  for (let n = 0; n < times; n++) {
    await cluster.sleep(cluster.random.between(200, 2_000));
    for (const name of names) {
      if (cluster.random.chance(0.5)) cluster.crash(name);
      else cluster.vanish(name);
    }
    await cluster.sleep(cluster.random.between(500, 4_000));
    await Promise.all(names.map((name) => cluster.start(name)));
  }
  cluster.calm();
}

const RETRY = { attempts: LIMITS.attempts, attemptTimeoutMs: 2_000, maxDelayMs: 1_000 };

/** Each key is written by one caller, value after value; what failed, and what was told last. */
async function write(
  cluster: SimulatedCluster,
  key: string,
  until: () => boolean,
  retry?: RetryOptions,
): Promise<{ failures: GranaryError[]; last: number }> {
  const failures: GranaryError[] = [];
  const options = { timeoutMs: 60_000, ...(retry && { retry }) };
  let value = 0;
  while (!until()) {
    value++;
    const register = cluster.grain(Register, key).$with(options);
    const told = await register.raise(value).catch((error) => void failures.push(error));
    if (told !== undefined) expect(told).toBe(value);
    await cluster.sleep(cluster.random.between(0, 100));
  }
  return { failures, last: value };
}

describe('while all silos crash and come again, and the store fails', () => {
  test.each(seeds(4))('every call with retry succeeds by its deadline (seed %i)', async (seed) => {
    await simulate({ seed, silos: ['a', 'b', 'c'], grains: [Register] }, async (cluster) => {
      let ruined = false;
      const keys = ['k1', 'k2', 'k3', 'k4'];
      const writing = keys.map((key) => write(cluster, key, () => ruined, RETRY));
      const without = write(cluster, 'without', () => ruined);
      await ruin(cluster, 3);
      ruined = true;
      for (const [i, { failures, last }] of (await Promise.all(writing)).entries()) {
        expect(failures).toEqual([]);
        expect(last).toBeGreaterThan(5);
        expect(await cluster.grain(Register, keys[i] as string).read()).toBe(last);
      }
      // There was something to try again for.
      expect((await without).failures).not.toEqual([]);
    });
  });

  test.each(seeds(3))('calls with a key take effect once, however often made (seed %i)', async (seed) => {
    await simulate({ seed, silos: ['a', 'b', 'c'], grains: [Sum] }, async (cluster) => {
      let ruined = false;
      const adding = ['k1', 'k2', 'k3'].map(async (key) => {
        let added = 0;
        while (!ruined) {
          const options = { idempotencyKey: `${++added}`, retry: RETRY, timeoutMs: 60_000 };
          expect(await cluster.grain(Sum, key).$with(options).add(1)).toBe(added);
          await cluster.sleep(cluster.random.between(0, 100));
        }
        return added;
      });
      await ruin(cluster, 3);
      ruined = true;
      for (const added of await Promise.all(adding)) expect(added).toBeGreaterThan(5);
    });
  });
});
