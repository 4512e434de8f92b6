import {
  Grain,
  GranaryError,
  grain,
  type IncomingInterceptor,
  method,
  type OutgoingInterceptor,
  registerError,
  reminder,
  type StandardSchema,
  state,
} from 'granary';
import { type SimulatedCluster, simulate } from 'granary/testing';
import { expect, test } from 'vitest';
import { seeds } from '../support/seeds.ts';

class StrangerError extends Error {}
registerError(StrangerError, { name: 'test/Stranger' });

/** What came past a guard that should have stopped it, or with baggage that is not its own. */
let slipped: string[] = [];
let admitted = 0;

/** Takes its time, as one that asks a database would; what it gives is not what it takes. */
const numbered: StandardSchema<unknown, number> = {
  '~standard': {
    ...{ version: 1, vendor: 'test' },
    validate: async (value) => {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
      if (typeof value !== 'string' || !/^\d+$/.test(value)) return { issues: [{ message: 'no number' }] };
      return { value: Number(value) };
    },
  },
};

/** Exchanges the token for a user, which takes a while. */
const authenticate: IncomingInterceptor = async (call, next) => {
  if (call.caller !== undefined) return next();
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
  const [, user] = /^token of (.*)$/.exec(String(call.request.token)) ?? [];
  if (user === undefined) throw new StrangerError('who are you?');
  call.request = { user };
  return next();
};

/** Lets only the owner pass, who is in the key, and puts a stamp on what passes. */
const onlyOwner: IncomingInterceptor = (call, next) => {
  if (!call.key.startsWith(`${call.request.user}:`)) throw new StrangerError('not yours');
  admitted++;
  call.request = { ...call.request, stamp: call.args[0] };
  return next();
};

@grain({ interceptors: [onlyOwner], placement: 'random' })
class Vault extends Grain {
  @state() last = 0;
  @state() sum = 0;

  @method({ args: [numbered] })
  async put(n: number): Promise<number> {
    const { user, stamp, token } = this.context.request;
    if (typeof n !== 'number' || stamp !== n || token !== undefined || !this.key.startsWith(`${user}:`)) {
      slipped.push(`${this.key}.put(${n}) of ${user}, stamp ${stamp}`);
    }
    this.sum += n;
    this.last = n;
    await this.save();
    return n;
  }
}

/** Puts on behalf of whoever calls it. */
@grain({ placement: 'random' })
class Clerk extends Grain {
  @method()
  async put(vault: string, n: string): Promise<number> {
    return this.grain(Vault, vault).put(n as unknown as number);
  }
}

/** What every silo's own calls carry. */
const fromInside: OutgoingInterceptor = (call, next) => {
  if (call.caller === undefined) call.request = { ...call.request, token: 'token of ada' };
  return next();
};

const USERS = ['ada', 'bob'];

/** What becomes of a call: false when trouble got in its way. */
async function attempt(call: Promise<unknown>, expected: unknown): Promise<boolean> {
  try {
    expect(await call).toEqual(expected);
    return true;
  } catch (error) {
    if (error instanceof GranaryError && error.retryable) return false;
    throw error;
  }
}

async function bank(cluster: SimulatedCluster): Promise<void> {
  let told = 0;
  const put = async (user: string, vault: string) => {
    for (let n = 1; n <= 20; n++) {
      const options = { request: { token: `token of ${user}` } };
      const clerk = cluster.grain(Clerk, cluster.random.below(5)).$with(options);
      const direct = cluster.grain(Vault, vault).$with(options);
      const value = `${n}` as unknown as number;
      const call = cluster.random.chance(0.5) ? direct.put(value) : clerk.put(vault, `${n}`);
      if (await attempt(call, n)) told++;
      await cluster.sleep(cluster.random.between(0, 300));
    }
  };
  const intrude = async () => {
    for (let n = 1; n <= 20; n++) {
      const stranger = cluster.random.chance(0.5) ? {} : { request: { token: 'token of eve' } };
      const vault = cluster.grain(Vault, 'ada:1').$with(stranger);
      const refused = await vault.put('1' as unknown as number).catch((error: unknown) => error);
      expect(refused instanceof StrangerError || (refused as GranaryError).retryable).toBe(true);
      const [name] = cluster.names;
      if (name !== undefined) {
        const inside = cluster.silo(name).grain(Vault, 'ada:2');
        await attempt(inside.put(`${n}` as unknown as number), n);
      }
      await cluster.sleep(cluster.random.between(0, 300));
    }
  };
  const vaults = USERS.flatMap((user) => [1, 2].map((n) => put(user, `${user}:${n}`)));
  await Promise.all([...vaults, intrude()]);
  expect(slipped).toEqual([]);
  expect(told).toBeGreaterThan(0);
  expect(admitted).toBeGreaterThanOrEqual(told);
}

const options = { interceptors: { incoming: [authenticate], outgoing: [fromInside] } };

test.each(seeds(3))(
  'no call slips past interceptors and schemas, whatever happens (seed %i)',
  async (seed) => {
    slipped = [];
    admitted = 0;
    await simulate({ seed, silos: 4, grains: [Vault, Clerk], options, faults: 'swarm' }, bank);
  },
);

test.each(seeds(3))('calls with slow schemas arrive in the order made (seed %i)', async (seed) => {
  slipped = [];
  const ran: number[] = [];
  @grain()
  class Line extends Grain {
    @method({ args: [numbered] })
    async slow(n: number): Promise<void> {
      ran.push(n);
    }

    @method()
    async plain(n: number): Promise<void> {
      ran.push(n);
    }
  }
  await simulate({ seed, silos: 3, grains: [Line] }, async (cluster) => {
    const line = cluster.grain(Line, 'x');
    await line.plain(0);
    const calls = Array.from({ length: 30 }, (_, i) =>
      cluster.random.chance(0.5) ? line.plain(i + 1) : line.slow(`${i + 1}` as unknown as number),
    );
    await Promise.all(calls);
    expect(ran).toEqual(Array.from({ length: 31 }, (_, i) => i));
  });
});

test('reminders pass interceptors, by names of their own; ticks of timers do not', async () => {
  const passed: string[] = [];
  const note: IncomingInterceptor = (call, next) => {
    passed.push(call.method);
    return next();
  };
  const made: string[] = [];
  const noteMade: OutgoingInterceptor = (call, next) => {
    made.push(call.method);
    return next();
  };
  let ticks = 0;
  let charged = 0;
  @grain({ interceptors: [note] })
  class Subscription extends Grain {
    @method()
    async begin(): Promise<void> {
      this.context.timer('look', { dueMs: 100 }, () => {
        ticks++;
      });
      await this.context.remind('charge', { dueMs: 1_000 });
    }

    @reminder('charge')
    async charge(): Promise<void> {
      charged++;
    }
  }
  const interceptors = { incoming: [note], outgoing: [noteMade] };
  await simulate({ seed: 1, grains: [Subscription], options: { interceptors } }, async (cluster) => {
    await cluster.grain(Subscription, 'x').begin();
    await cluster.sleep(5_000);
  });
  expect({ ticks, charged }).toEqual({ ticks: 1, charged: 1 });
  expect(passed).toEqual(['begin', 'begin', '$remind.charge', '$remind.charge']);
  expect(made).toEqual([]);
});
