import {
  Client,
  Grain,
  grain,
  type IncomingInterceptor,
  type InterceptedCall,
  inProcess,
  method,
  Silo,
  type SiloOptions,
  subscribe,
} from 'granary';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  all,
  Child,
  Pair,
  Parent,
  Plain,
  plain,
  Refused,
  scene,
  setScene,
  tell,
  Worker,
} from '../support/intercepted.ts';
import { failure } from '../support/places.ts';

beforeEach(setScene);
afterEach(() => scene.pair.stop());

describe('interceptors', () => {
  test("stand around each other: the caller's, the silo's, the parent class's, the class's", async () => {
    scene.incoming = tell('silo');
    scene.outgoing = tell('client');
    expect(await scene.pair.client.grain(Child, 'x').echo(1)).toBe(1);
    const names = ['client', 'silo', 'parent', 'first', 'second'];
    const before = names.map((name) => `${name} > echo`);
    const after = names.map((name) => `${name} < echo`).reverse();
    expect(scene.log).toEqual([...before, 'echo 1', ...after]);
  });

  test('of a class stand around its own methods only', async () => {
    expect(await scene.pair.client.grain(Parent, 'x').echo(1)).toBe(1);
    expect(scene.log).toEqual(['parent > echo', 'echo 1', 'parent < echo']);
    scene.log = [];
    expect(await plain().echo(1)).toBe(1);
    expect(scene.log).toEqual(['echo 1']);
  });

  test('are told who calls what, and how', async () => {
    const seen: unknown[] = [];
    const note = async (call: InterceptedCall, next: () => Promise<unknown>) => {
      const { direction, target, type, key, method: name, args, caller, oneWay, stream } = call;
      seen.push({ direction, target, type, key, name, args: [...args], caller, oneWay, stream });
      return next();
    };
    scene.incoming = note;
    scene.outgoing = note;
    await scene.pair.client.grain(Plain, ['eu', 'a/b']).baggageOf('42');
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
    scene.outgoing = async (call, next) => {
      call.args = [`out ${call.args[0]}`];
      return `${await next()} out`;
    };
    scene.incoming = async (call, next) => {
      call.args = [`in ${call.args[0]}`];
      return `${await next()} in`;
    };
    expect(await plain().echo('x')).toBe('in out x in out');
  });

  test('may answer themselves: the method does not run', async () => {
    scene.incoming = async () => 'silo';
    expect(await plain().echo(1)).toBe('silo');
    scene.incoming = () => 'without waiting';
    expect(await plain().echo(1)).toBe('without waiting');
    scene.outgoing = async () => 'client';
    expect(await plain().echo(1)).toBe('client');
    expect(scene.log).toEqual([]);
  });

  test('may refuse: what they throw reaches the caller like what a grain throws', async () => {
    scene.incoming = (call) => {
      throw new Refused(`${call.request.user} may not`, call.request.user);
    };
    const error = await failure(
      plain()
        .$with({ request: { user: 'eve' } })
        .echo(1),
    );
    expect(error).toBeInstanceOf(Refused);
    expect(error).toMatchObject({ message: 'eve may not', user: 'eve' });
    scene.outgoing = async () => {
      throw new Refused('not even sent', 'eve');
    };
    await expect(plain().echo(1)).rejects.toThrow('not even sent');
    expect(scene.log).toEqual([]);
  });

  test('see what the method throws, and may make something else of it', async () => {
    scene.incoming = async (_call, next) => {
      try {
        return await next();
      } catch (error) {
        return `instead: ${(error as Error).message}`;
      }
    };
    await scene.pair.silo.stop();
    await scene.pair.client.close();
    scene.pair = new Pair();
    @grain({ name: 'Thrower' })
    class Thrower extends Grain {
      @method()
      plain(): string {
        throw new Error('at once');
      }
    }
    await scene.pair.start({ grains: [Thrower] });
    expect(await scene.pair.client.grain(Thrower, 'x').plain()).toBe('instead: at once');
  });

  test('run in the turn: while one waits, no other call runs in the grain', async () => {
    let go: (() => void) | undefined;
    scene.incoming = async (call, next) => {
      if (call.args[0] === 'slow') {
        await new Promise<void>((resolve) => {
          go = resolve;
        });
      }
      return next();
    };
    const calls = [plain().echo('slow'), plain().echo('fast')];
    await expect.poll(() => go).toBeDefined();
    expect(scene.log).toEqual([]);
    go?.();
    await Promise.all(calls);
    expect(scene.log).toEqual(['echo "slow"', 'echo "fast"']);
  });

  test('hear on the incoming side when the caller has cancelled', async () => {
    const aborted = new Promise((resolve) => {
      scene.incoming = (call, next) => {
        call.signal?.addEventListener('abort', () => resolve(call.signal?.aborted), { once: true });
        return next();
      };
    });
    const cancelling = new AbortController();
    const call = failure(plain().$with({ signal: cancelling.signal }).wait());
    await expect.poll(() => scene.pair.silo.activations).toBe(1);
    cancelling.abort();
    expect(await aborted).toBe(true);
    expect(await call).toMatchObject({ code: 'CALL_CANCELLED' });
  });
});

describe('next()', () => {
  test('called twice on the incoming side is refused: a call runs once', async () => {
    scene.incoming = async (_call, next) => {
      await next();
      return next();
    };
    const error = await failure(plain().echo(1));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toBe('Plain/x.echo: next() was called twice; an incoming call runs once');
    expect(scene.log).toEqual(['echo 1']);
  });

  test('that its interceptor does not wait for is part of the turn all the same', async () => {
    scene.incoming = async (call, next) => {
      const result = next();
      return call.method === 'wait' ? 'too slow' : result;
    };
    const cancelling = new AbortController();
    const waiting = failure(plain().$with({ signal: cancelling.signal }).wait());
    const echo = plain().echo('behind it');
    expect(await all(plain().upTo(1))).toEqual([1]); // beside it, since that interleaves
    expect(scene.log).toEqual(['stream ends']);
    cancelling.abort();
    expect(await waiting).toMatchObject({ code: 'CALL_CANCELLED' });
    expect(await echo).toBe('behind it');
  });

  test('called when the call has been answered is refused: no method runs outside a turn', async () => {
    let late: (() => Promise<unknown>) | undefined;
    scene.incoming = async (_call, next) => {
      late = next;
      return 'answered';
    };
    expect(await plain().echo(1)).toBe('answered');
    const error = await failure((late as () => Promise<unknown>)());
    expect(error.message).toMatch(/^Plain\/x\.echo: next\(\) was called after the call had been answered/);
    expect(scene.log).toEqual([]);
  });

  test('called again on the outgoing side makes the call again, with the arguments of then', async () => {
    scene.outgoing = async (call, next) => {
      const first = await next();
      call.args = [2];
      return [first, await next()];
    };
    expect(await plain().echo(1)).toEqual([1, 2]);
    expect(scene.log).toEqual(['echo 1', 'echo 2']);
  });
});

test('one-way calls pass both sides; what fails there has a listener only', async () => {
  const failed = new Promise((resolve) => scene.pair.silo.subscribe(resolve, ['oneWayFailed']));
  scene.incoming = (_call, next) => next();
  scene.outgoing = (_call, next) => next();
  expect(await plain().told('a')).toBeUndefined();
  await expect.poll(() => scene.log).toEqual(['told a']);
  scene.incoming = () => {
    throw new Refused('told nobody', undefined);
  };
  expect(await plain().told('b')).toBeUndefined();
  expect(await failed).toMatchObject({ error: { message: 'told nobody' }, method: 'told' });
  expect(scene.log).toEqual(['told a']);
});

test('calls of the program that a silo is embedded in, and of workers, pass like all others', async () => {
  await scene.pair.stop();
  scene.pair = new Pair();
  const interceptors = { outgoing: [tell('out')], incoming: [tell('in')] };
  await scene.pair.start({ interceptors });
  expect(await scene.pair.silo.grain(Worker, 'x').work(2)).toBe(4);
  expect(scene.log).toEqual(['out > work', 'in > work', 'in < work', 'out < work']);
});

test('events pass on the incoming side, by a name of their own, and not on the outgoing side', async () => {
  let heard: unknown;
  @grain()
  class Listener extends Grain {
    @subscribe('orders')
    async onOrder(event: unknown): Promise<void> {
      heard = event;
    }

    @method()
    async run(): Promise<void> {}
  }
  await scene.pair.stop();
  scene.pair = new Pair();
  const interceptors = { outgoing: [tell('out')], incoming: [tell('in')] };
  await scene.pair.start({ grains: [Listener], interceptors });
  await scene.pair.silo.publish('orders', 'k', 'tea');
  await expect.poll(() => scene.log).toEqual(['in > $event.orders', 'in < $event.orders']);
  expect(heard).toBe('tea');
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
