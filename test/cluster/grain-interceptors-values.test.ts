import type { IncomingInterceptor, InterceptedCall, OutgoingInterceptor } from 'granary';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { all, Pair, Plain, plain, Refused, scene, setScene, tell } from '../support/intercepted.ts';

beforeEach(setScene);
afterEach(() => scene.pair.stop());

describe('arguments of outgoing calls', () => {
  const later: OutgoingInterceptor = async (_call, next) => {
    await new Promise(setImmediate);
    return next();
  };

  test('are those at the time of the call, however long an interceptor takes', async () => {
    scene.outgoing = later;
    const value = { n: 1 };
    const echoed = [plain().echo(value), scene.pair.client.grain<Plain>('Plain', 'x').echo(value)];
    const items = plain().upTo(2);
    value.n = 2;
    expect(await Promise.all(echoed)).toEqual([{ n: 1 }, { n: 1 }]);
    expect(await all(items)).toEqual([1, 2]);
  });

  test('that cannot travel are refused before interceptors, those they make when they leave', async () => {
    scene.outgoing = async () => 'never';
    await expect(plain().echo(() => {})).rejects.toMatchObject({
      code: 'NOT_SERIALIZABLE',
      grain: 'Plain/x',
    });
    const unreadable = scene.pair.client.grain(Plain, 'x').upTo((() => {}) as unknown as number);
    await expect(unreadable.next()).rejects.toMatchObject({ code: 'NOT_SERIALIZABLE' });
    scene.outgoing = (call, next) => {
      call.args = [() => {}];
      return next();
    };
    await expect(plain().echo(1)).rejects.toMatchObject({ code: 'NOT_SERIALIZABLE', path: 'args[0]' });
  });
});

describe('baggage', () => {
  test('is added to, and taken from, by outgoing interceptors, all along the chain', async () => {
    scene.outgoing = (call, next) => {
      const { secret: _, ...others } = call.request;
      call.request = { ...others, tenant: 'acme' };
      return next();
    };
    const ref = plain().$with({ request: { user: 'ada', secret: 1 } });
    expect(await ref.baggage()).toEqual({ user: 'ada', tenant: 'acme' });
    expect(await ref.baggageOf('y')).toEqual({ user: 'ada', tenant: 'acme' });
  });

  test('can be kept from going on by an interceptor of the silo where a grain makes a call', async () => {
    await scene.pair.stop();
    scene.pair = new Pair();
    const withoutSecret: OutgoingInterceptor = (call, next) => {
      const { secret: _, ...others } = call.request;
      call.request = others;
      return next();
    };
    await scene.pair.start({ interceptors: { outgoing: [withoutSecret] } });
    const ref = plain().$with({ request: { user: 'ada', secret: 1 } });
    expect(await ref.baggage()).toEqual({ user: 'ada', secret: 1 });
    expect(await ref.baggageOf('y')).toEqual({ user: 'ada' });
  });

  test('that an incoming interceptor replaces is what the grain and those that it calls see', async () => {
    scene.incoming = (call, next) => {
      if (call.method === 'baggageOf') call.request = { user: `user of ${call.request.token}` };
      return next();
    };
    const ref = plain().$with({ request: { token: 't' } });
    expect(await ref.baggageOf('y')).toEqual({ user: 'user of t' });
    expect(await ref.baggage()).toEqual({ token: 't' });
  });

  test('cannot be changed in place', async () => {
    scene.outgoing = (call, next) => {
      (call.request as Record<string, unknown>).user = 'eve';
      return next();
    };
    await expect(plain().baggage()).rejects.toThrow(TypeError);
  });

  test('too large is refused, by whichever interceptor', async () => {
    const large = { text: 'x'.repeat(10_000) };
    scene.outgoing = (call, next) => {
      call.request = large;
      return next();
    };
    await expect(plain().baggage()).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    scene.outgoing = (_call, next) => next();
    scene.incoming = (call, next) => {
      call.request = large;
      return next();
    };
    await expect(plain().baggage()).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
  });

  test('belongs to each of several calls that interleave in one grain', async () => {
    scene.incoming = async (call, next) => {
      call.request = { user: call.request.user };
      return next();
    };
    const call = plain()
      .$with({ request: { user: 'ada', more: 1 } })
      .interleaved();
    await expect.poll(() => scene.release).toBeDefined();
    expect(
      await plain()
        .$with({ request: { user: 'bob' } })
        .baggage(),
    ).toEqual({ user: 'bob' });
    scene.release?.();
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
    scene.incoming = doubled;
    scene.outgoing = doubled;
    const ref = kind === 'typed' ? plain() : scene.pair.client.grain<Plain>('Plain', 'x');
    expect(await all(ref.upTo(3))).toEqual([4, 8, 12]);
    expect(await ref.echo(1)).toBe(1);
  });

  test('are wrapped where a grain reads them', async () => {
    await scene.pair.stop();
    scene.pair = new Pair();
    const interceptors = { outgoing: [doubled], incoming: [tell('silo')] };
    await scene.pair.start({ interceptors });
    expect(await all(plain().upToOf('y', 2))).toEqual([2, 4]);
    expect(scene.log.slice(0, 3)).toEqual(['silo > upToOf', 'silo < upToOf', 'silo > upTo']);
  });

  test.each(['incoming', 'outgoing'])('that are left run their finally: %s', async (side) => {
    if (side === 'incoming') scene.incoming = doubled;
    else scene.outgoing = doubled;
    for await (const item of plain().upTo(1_000)) if (item === 4) break;
    await expect.poll(() => scene.log).toContain('stream ends');
  });

  test('are refused where they start', async () => {
    scene.incoming = () => {
      throw new Refused('no reader', undefined);
    };
    await expect(all(plain().upTo(3))).rejects.toThrow(Refused);
    scene.incoming = (_call, next) => next();
    scene.outgoing = async () => {
      throw new Refused('not even sent', undefined);
    };
    await expect(all(plain().upTo(3))).rejects.toThrow('not even sent');
    expect(scene.log).toEqual([]);
  });

  test('cannot be answered with what is none', async () => {
    scene.incoming = async () => 5;
    await expect(all(plain().upTo(3))).rejects.toThrow('Plain/x.upTo is a stream; an interceptor must give');
    scene.incoming = (_call, next) => next();
    scene.outgoing = async () => 5;
    await expect(all(plain().upTo(3))).rejects.toThrow('Plain/x.upTo is a stream; an interceptor must give');
  });

  test('that wait in an interceptor can be left', async () => {
    let started = false;
    scene.outgoing = () => {
      started = true;
      return new Promise(() => {});
    };
    const items = plain().upTo(3);
    expect(await items.return?.()).toEqual({ done: true, value: undefined });
    expect(await items.next()).toEqual({ done: true, value: undefined });
    expect(started).toBe(false);
  });
});
