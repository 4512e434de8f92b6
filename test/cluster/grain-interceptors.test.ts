import {
  Client,
  Grain,
  grain,
  type IncomingCall,
  type IncomingInterceptor,
  type InterceptedCall,
  inProcess,
  method,
  type OutgoingInterceptor,
  registerError,
  Silo,
  type SiloOptions,
} from 'granary';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { failure } from '../support/places.ts';

/** What interceptors and methods have done, in order. */
let log: string[] = [];

class Refused extends Error {
  constructor(
    message: string,
    readonly user: unknown,
  ) {
    super(message);
    this.name = 'Refused';
  }
}
registerError(Refused, { name: 'test/Refused' });

/** Says when it is entered and left. */
const tell =
  (name: string) =>
  async (call: InterceptedCall, next: () => Promise<unknown>): Promise<unknown> => {
    log.push(`${name} > ${call.method}`);
    const result = await next();
    log.push(`${name} < ${call.method}`);
    return result;
  };

/** What the tests at hand put around incoming and outgoing calls. */
let incoming: IncomingInterceptor = (_call, next) => next();
let outgoing: OutgoingInterceptor = (_call, next) => next();

@grain({ interceptors: [tell('parent')] })
class Parent extends Grain {
  @method()
  async echo(value: unknown): Promise<unknown> {
    log.push(`echo ${JSON.stringify(value)}`);
    return value;
  }

  @method()
  async baggage(): Promise<unknown> {
    return this.context.request;
  }
}

@grain({ interceptors: [tell('first'), tell('second')] })
class Child extends Parent {
  @method()
  async mine(): Promise<string> {
    return 'mine';
  }
}

let release: (() => void) | undefined;

@grain()
class Plain extends Grain {
  @method()
  async echo(value: unknown): Promise<unknown> {
    log.push(`echo ${JSON.stringify(value)}`);
    return value;
  }

  @method()
  async baggage(): Promise<Record<string, unknown>> {
    return this.context.request;
  }

  @method()
  async baggageOf(key: string): Promise<Record<string, unknown>> {
    return this.grain(Plain, key).baggage();
  }

  @method({ oneWay: true })
  async told(value: unknown): Promise<void> {
    log.push(`told ${value}`);
  }

  @method({ interleave: true })
  async *upTo(n: number): AsyncGenerator<number> {
    try {
      for (let i = 1; i <= n; i++) yield i;
    } finally {
      log.push('stream ends');
    }
  }

  @method({ interleave: true })
  async *upToOf(key: string, n: number): AsyncGenerator<number> {
    yield* this.grain(Plain, key).upTo(n);
  }

  @method({ interleave: true })
  async interleaved(): Promise<unknown> {
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    return this.context.request;
  }

  @method()
  async wait(): Promise<boolean> {
    const { signal } = this.context;
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    return signal.aborted;
  }
}

@grain({ placement: { workers: 2 } })
class Worker extends Grain {
  @method()
  async work(n: number): Promise<number> {
    return n * 2;
  }
}

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const read: Item[] = [];
  for await (const item of items) read.push(item);
  return read;
}

/** A silo, and a client of it, with the interceptors that a test sets. */
class Pair {
  readonly #network = inProcess();
  silo!: Silo;
  client!: Client;

  async start(options: Partial<SiloOptions> = {}): Promise<void> {
    const common = { transport: this.#network, log: 'silent' } as const;
    const grains = [Parent, Child, Plain, Worker];
    const interceptors = {
      incoming: [(call: IncomingCall, next: () => Promise<unknown>) => incoming(call, next)],
    };
    this.silo = await Silo.start({ ...common, name: 'a', grains, interceptors, ...options });
    const out: OutgoingInterceptor = (call, next) => outgoing(call, next);
    this.client = await Client.connect({ ...common, interceptors: { outgoing: [out] } });
  }

  async stop(): Promise<void> {
    await this.client?.close();
    await this.silo?.stop();
  }
}

let pair: Pair;
beforeEach(async () => {
  log = [];
  release = undefined;
  incoming = (_call, next) => next();
  outgoing = (_call, next) => next();
  pair = new Pair();
  await pair.start();
});
afterEach(() => pair.stop());

const plain = (key = 'x') => pair.client.grain(Plain, key);

describe('interceptors', () => {
  test("stand around each other: the caller's, the silo's, the parent class's, the class's", async () => {
    incoming = tell('silo');
    outgoing = tell('client');
    expect(await pair.client.grain(Child, 'x').echo(1)).toBe(1);
    const names = ['client', 'silo', 'parent', 'first', 'second'];
    const before = names.map((name) => `${name} > echo`);
    const after = names.map((name) => `${name} < echo`).reverse();
    expect(log).toEqual([...before, 'echo 1', ...after]);
  });

  test('of a class stand around its own methods only', async () => {
    expect(await pair.client.grain(Parent, 'x').echo(1)).toBe(1);
    expect(log).toEqual(['parent > echo', 'echo 1', 'parent < echo']);
    log = [];
    expect(await plain().echo(1)).toBe(1);
    expect(log).toEqual(['echo 1']);
  });

  test('are told who calls what, and how', async () => {
    const seen: unknown[] = [];
    const note = async (call: InterceptedCall, next: () => Promise<unknown>) => {
      const { direction, target, type, key, method: name, args, caller, oneWay, stream } = call;
      seen.push({ direction, target, type, key, name, args: [...args], caller, oneWay, stream });
      return next();
    };
    incoming = note;
    outgoing = note;
    await pair.client.grain(Plain, ['eu', 'a/b']).baggageOf('42');
    const target = 'Plain/eu/a%2Fb';
    const call = { target, type: 'Plain', key: 'eu/a%2Fb', name: 'baggageOf', args: ['42'] };
    const plainCall = { caller: undefined, oneWay: false, stream: false };
    expect(seen).toEqual([
      { direction: 'outgoing', ...call, ...plainCall },
      { direction: 'incoming', ...call, ...plainCall },
      {
        ...{ direction: 'incoming', target: 'Plain/42', type: 'Plain', key: '42', name: 'baggage' },
        ...{ ...plainCall, args: [], caller: target },
      },
    ]);
    seen.length = 0;
    await all(plain('a b').upTo(1));
    await plain().told(1);
    await expect.poll(() => seen).toHaveLength(4);
    expect(seen).toMatchObject([
      { direction: 'outgoing', key: 'a b', name: 'upTo', stream: true, oneWay: false },
      { direction: 'incoming', key: 'a b', name: 'upTo', stream: true, oneWay: false },
      { direction: 'outgoing', name: 'told', stream: false, oneWay: true },
      { direction: 'incoming', name: 'told', stream: false, oneWay: true },
    ]);
  });

  test('may replace arguments and results, on either side', async () => {
    outgoing = async (call, next) => {
      call.args = [`out ${call.args[0]}`];
      return `${await next()} out`;
    };
    incoming = async (call, next) => {
      call.args = [`in ${call.args[0]}`];
      return `${await next()} in`;
    };
    expect(await plain().echo('x')).toBe('in out x in out');
  });

  test('may answer themselves: the method does not run', async () => {
    incoming = async () => 'silo';
    expect(await plain().echo(1)).toBe('silo');
    incoming = () => 'without waiting';
    expect(await plain().echo(1)).toBe('without waiting');
    outgoing = async () => 'client';
    expect(await plain().echo(1)).toBe('client');
    expect(log).toEqual([]);
  });

  test('may refuse: what they throw reaches the caller like what a grain throws', async () => {
    incoming = (call) => {
      throw new Refused(`${call.request.user} may not`, call.request.user);
    };
    const error = await failure(
      plain()
        .$with({ request: { user: 'eve' } })
        .echo(1),
    );
    expect(error).toBeInstanceOf(Refused);
    expect(error).toMatchObject({ message: 'eve may not', user: 'eve' });
    outgoing = async () => {
      throw new Refused('not even sent', 'eve');
    };
    await expect(plain().echo(1)).rejects.toThrow('not even sent');
    expect(log).toEqual([]);
  });

  test('see what the method throws, and may make something else of it', async () => {
    incoming = async (_call, next) => {
      try {
        return await next();
      } catch (error) {
        return `instead: ${(error as Error).message}`;
      }
    };
    await pair.silo.stop();
    await pair.client.close();
    pair = new Pair();
    @grain({ name: 'Thrower' })
    class Thrower extends Grain {
      @method()
      plain(): string {
        throw new Error('at once');
      }
    }
    await pair.start({ grains: [Thrower] });
    expect(await pair.client.grain(Thrower, 'x').plain()).toBe('instead: at once');
  });

  test('run in the turn: while one waits, no other call runs in the grain', async () => {
    let go: (() => void) | undefined;
    incoming = async (call, next) => {
      if (call.args[0] === 'slow') {
        await new Promise<void>((resolve) => {
          go = resolve;
        });
      }
      return next();
    };
    const calls = [plain().echo('slow'), plain().echo('fast')];
    await expect.poll(() => go).toBeDefined();
    expect(log).toEqual([]);
    go?.();
    await Promise.all(calls);
    expect(log).toEqual(['echo "slow"', 'echo "fast"']);
  });

  test('hear on the incoming side when the caller has cancelled', async () => {
    const aborted = new Promise((resolve) => {
      incoming = (call, next) => {
        call.signal?.addEventListener('abort', () => resolve(call.signal?.aborted), { once: true });
        return next();
      };
    });
    const cancelling = new AbortController();
    const call = failure(plain().$with({ signal: cancelling.signal }).wait());
    await expect.poll(() => pair.silo.activations).toBe(1);
    cancelling.abort();
    expect(await aborted).toBe(true);
    expect(await call).toMatchObject({ code: 'CALL_CANCELLED' });
  });
});

describe('next()', () => {
  test('called twice on the incoming side is refused: a call runs once', async () => {
    incoming = async (_call, next) => {
      await next();
      return next();
    };
    const error = await failure(plain().echo(1));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toBe('Plain/x.echo: next() was called twice; an incoming call runs once');
    expect(log).toEqual(['echo 1']);
  });

  test('called again on the outgoing side makes the call again, with the arguments of then', async () => {
    outgoing = async (call, next) => {
      const first = await next();
      call.args = [2];
      return [first, await next()];
    };
    expect(await plain().echo(1)).toEqual([1, 2]);
    expect(log).toEqual(['echo 1', 'echo 2']);
  });
});

describe('arguments of outgoing calls', () => {
  const later: OutgoingInterceptor = async (_call, next) => {
    await new Promise(setImmediate);
    return next();
  };

  test('are those at the time of the call, however long an interceptor takes', async () => {
    outgoing = later;
    const value = { n: 1 };
    const echoed = [plain().echo(value), pair.client.grain<Plain>('Plain', 'x').echo(value)];
    const items = plain().upTo(2);
    value.n = 2;
    expect(await Promise.all(echoed)).toEqual([{ n: 1 }, { n: 1 }]);
    expect(await all(items)).toEqual([1, 2]);
  });

  test('that cannot travel are refused before any interceptor runs, those it makes when they leave', async () => {
    outgoing = async () => 'never';
    await expect(plain().echo(() => {})).rejects.toMatchObject({
      code: 'NOT_SERIALIZABLE',
      grain: 'Plain/x',
    });
    const unreadable = pair.client.grain(Plain, 'x').upTo((() => {}) as unknown as number);
    await expect(unreadable.next()).rejects.toMatchObject({ code: 'NOT_SERIALIZABLE' });
    outgoing = (call, next) => {
      call.args = [() => {}];
      return next();
    };
    await expect(plain().echo(1)).rejects.toMatchObject({ code: 'NOT_SERIALIZABLE', path: 'args[0]' });
  });
});

describe('baggage', () => {
  test('is added to, and taken from, by outgoing interceptors, all along the chain', async () => {
    outgoing = (call, next) => {
      const { secret: _, ...others } = call.request;
      call.request = { ...others, tenant: 'acme' };
      return next();
    };
    const ref = plain().$with({ request: { user: 'ada', secret: 1 } });
    expect(await ref.baggage()).toEqual({ user: 'ada', tenant: 'acme' });
    expect(await ref.baggageOf('y')).toEqual({ user: 'ada', tenant: 'acme' });
  });

  test('can be kept from going on by an interceptor of the silo where a grain makes a call', async () => {
    await pair.stop();
    pair = new Pair();
    const withoutSecret: OutgoingInterceptor = (call, next) => {
      const { secret: _, ...others } = call.request;
      call.request = others;
      return next();
    };
    await pair.start({ interceptors: { outgoing: [withoutSecret] } });
    const ref = plain().$with({ request: { user: 'ada', secret: 1 } });
    expect(await ref.baggage()).toEqual({ user: 'ada', secret: 1 });
    expect(await ref.baggageOf('y')).toEqual({ user: 'ada' });
  });

  test('that an incoming interceptor replaces is what the grain sees, and the grains that it calls', async () => {
    incoming = (call, next) => {
      if (call.method === 'baggageOf') call.request = { user: `user of ${call.request.token}` };
      return next();
    };
    const ref = plain().$with({ request: { token: 't' } });
    expect(await ref.baggageOf('y')).toEqual({ user: 'user of t' });
    expect(await ref.baggage()).toEqual({ token: 't' });
  });

  test('cannot be changed in place', async () => {
    outgoing = (call, next) => {
      (call.request as Record<string, unknown>).user = 'eve';
      return next();
    };
    await expect(plain().baggage()).rejects.toThrow(TypeError);
  });

  test('too large is refused, by whichever interceptor', async () => {
    const large = { text: 'x'.repeat(10_000) };
    outgoing = (call, next) => {
      call.request = large;
      return next();
    };
    await expect(plain().baggage()).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    outgoing = (_call, next) => next();
    incoming = (call, next) => {
      call.request = large;
      return next();
    };
    await expect(plain().baggage()).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
  });

  test('belongs to each of several calls that interleave in one grain', async () => {
    incoming = async (call, next) => {
      call.request = { user: call.request.user };
      return next();
    };
    const call = plain()
      .$with({ request: { user: 'ada', more: 1 } })
      .interleaved();
    await expect.poll(() => release).toBeDefined();
    expect(
      await plain()
        .$with({ request: { user: 'bob' } })
        .baggage(),
    ).toEqual({ user: 'bob' });
    release?.();
    expect(await call).toEqual({ user: 'ada' });
  });
});

describe('streams', () => {
  const doubled: IncomingInterceptor & OutgoingInterceptor = async (call: InterceptedCall, next) => {
    const items = (await next()) as AsyncIterable<number>;
    if (call.method !== 'upTo') return items;
    return (async function* () {
      for await (const item of items) yield item * 2;
    })();
  };

  test.each(['typed', 'untyped'])('have their items wrapped on either side: a %s reference', async (kind) => {
    incoming = doubled;
    outgoing = doubled;
    const ref = kind === 'typed' ? plain() : pair.client.grain<Plain>('Plain', 'x');
    expect(await all(ref.upTo(3))).toEqual([4, 8, 12]);
    expect(await ref.echo(1)).toBe(1);
  });

  test('are wrapped where a grain reads them', async () => {
    await pair.stop();
    pair = new Pair();
    const interceptors = { outgoing: [doubled], incoming: [tell('silo')] };
    await pair.start({ interceptors });
    expect(await all(plain().upToOf('y', 2))).toEqual([2, 4]);
    expect(log.slice(0, 3)).toEqual(['silo > upToOf', 'silo < upToOf', 'silo > upTo']);
  });

  test.each(['incoming', 'outgoing'])('that are left run their finally: %s', async (side) => {
    if (side === 'incoming') incoming = doubled;
    else outgoing = doubled;
    for await (const item of plain().upTo(1_000)) if (item === 4) break;
    await expect.poll(() => log).toContain('stream ends');
  });

  test('are refused where they start', async () => {
    incoming = () => {
      throw new Refused('no reader', undefined);
    };
    await expect(all(plain().upTo(3))).rejects.toThrow(Refused);
    incoming = (_call, next) => next();
    outgoing = async () => {
      throw new Refused('not even sent', undefined);
    };
    await expect(all(plain().upTo(3))).rejects.toThrow('not even sent');
    expect(log).toEqual([]);
  });

  test('cannot be answered with what is none', async () => {
    incoming = async () => 5;
    await expect(all(plain().upTo(3))).rejects.toThrow('Plain/x.upTo is a stream; an interceptor must give');
    incoming = (_call, next) => next();
    outgoing = async () => 5;
    await expect(all(plain().upTo(3))).rejects.toThrow('Plain/x.upTo is a stream; an interceptor must give');
  });

  test('that wait in an interceptor can be left', async () => {
    let started = false;
    outgoing = () => {
      started = true;
      return new Promise(() => {});
    };
    const items = plain().upTo(3);
    expect(await items.return?.()).toEqual({ done: true, value: undefined });
    expect(await items.next()).toEqual({ done: true, value: undefined });
    expect(started).toBe(false);
  });
});

test('one-way calls pass both sides; what fails there has a listener only', async () => {
  const failed = new Promise((resolve) => pair.silo.subscribe(resolve, ['oneWayFailed']));
  incoming = (_call, next) => next();
  outgoing = (_call, next) => next();
  expect(await plain().told('a')).toBeUndefined();
  await expect.poll(() => log).toEqual(['told a']);
  incoming = () => {
    throw new Refused('told nobody', undefined);
  };
  expect(await plain().told('b')).toBeUndefined();
  expect(await failed).toMatchObject({ error: { message: 'told nobody' }, method: 'told' });
  expect(log).toEqual(['told a']);
});

test('calls of the program that a silo is embedded in, and of workers, pass like all others', async () => {
  await pair.stop();
  pair = new Pair();
  const interceptors = { outgoing: [tell('out')], incoming: [tell('in')] };
  await pair.start({ interceptors });
  expect(await pair.silo.grain(Worker, 'x').work(2)).toBe(4);
  expect(log).toEqual(['out > work', 'in > work', 'in < work', 'out < work']);
});

describe('a mistake in interceptors is told at the start', () => {
  const start = (options: object) =>
    Silo.start({ grains: [Plain], log: 'silent', ...options } as SiloOptions);
  const connect = (interceptors: object) =>
    Client.connect({ transport: inProcess(), log: 'silent', interceptors } as never);

  test.each([
    [{ interceptors: [tell('x')] }, "interceptors: there is no option '0'"],
    [{ interceptors: { before: [] } }, "interceptors: there is no option 'before'"],
    [{ interceptors: { incoming: tell('x') } }, 'interceptors.incoming must be a list of functions'],
    [{ interceptors: { outgoing: [tell('x'), 5] } }, 'interceptors.outgoing[1] is no function'],
  ])('to a silo: %j', async (options, message) => {
    const error = await failure(start(options));
    expect(error).toMatchObject({ code: 'INVALID_CONFIG' });
    expect(error.message).toContain(message);
  });

  test('to a client, which has no incoming calls', async () => {
    const error = await failure(connect({ incoming: [] }));
    expect(error.message).toContain("there is no option 'incoming'; there are: outgoing");
  });

  test('to a class', async () => {
    @grain({ interceptors: [5 as unknown as IncomingInterceptor] })
    class Wrong extends Grain {
      @method()
      async run(): Promise<void> {}
    }
    const error = await failure(start({ grains: [Wrong] }));
    expect(error.message).toContain('class Wrong: @grain: interceptors[0] is no function');
  });
});
