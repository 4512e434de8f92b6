import {
  Client,
  type ClientOptions,
  Grain,
  type GrainKey,
  grain,
  InvalidConfigError,
  InvalidKeyError,
  immutable,
  inProcess,
  LIMITS,
  MethodNotFoundError,
  method,
  registerType,
  Silo,
  type SiloOptions,
  state,
} from 'granary';
import { TestCluster } from 'granary/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failure, PLACES, type Place } from '../support/places.ts';

let calls = 0;

@grain()
class Victim extends Grain {
  @state() secret = 'secret';
  field = 'field';

  @method()
  async take(..._values: unknown[]): Promise<string> {
    calls++;
    return 'taken';
  }

  @method()
  async give(what: string): Promise<unknown> {
    return GIFTS[what]?.();
  }

  @method()
  async ask(type: string, key: GrainKey, name: string): Promise<unknown> {
    return (this.grain(type, key) as unknown as Record<string, () => Promise<unknown>>)[name]?.();
  }

  async hidden(): Promise<string> {
    return 'hidden';
  }

  get accessor(): string {
    return 'accessor';
  }
}

@grain()
class Late extends Grain {
  @method()
  async here(): Promise<string> {
    return this.context.silo;
  }
}

class Money {
  readonly cents: number;
  constructor(cents: number) {
    this.cents = cents;
  }
}

class Weight {
  readonly grams: number;
  constructor(grams: number) {
    this.grams = grams;
  }
}
registerType(Weight, { encode: ({ grams }) => grams, decode: (grams: number) => new Weight(grams) });

const circle: Record<string, unknown> = { name: 'circle' };
circle.self = circle;
const deep = () => Array.from({ length: LIMITS.valueDepth + 1 }).reduce((inner) => [inner], 1 as unknown);

const GIFTS: Readonly<Record<string, () => unknown>> = {
  function: () => ({ list: [1, () => {}] }),
  instance: () => new Money(5),
  bytes: () => new Uint8Array(LIMITS.callBytes + 1),
  text: () => 'x'.repeat(LIMITS.callBytes + 1),
};

type Anything = Record<string, (...args: unknown[]) => Promise<unknown>>;

const NOT_METHODS = [
  ['a method without a decorator', 'hidden'],
  ['a field', 'field'],
  ['a persisted field', 'secret'],
  ['an accessor', 'accessor'],
  ['what grains have', 'save'],
  ['what grains have', 'clear'],
  ['what grains have', 'context'],
  ['what grains have', 'grain'],
  ['a hook', 'onActivate'],
  ['a hook', 'onDeactivate'],
  ['what all objects have', 'constructor'],
  ['what all objects have', '__proto__'],
  ['what all objects have', 'toString'],
  ['what all objects have', 'valueOf'],
  ['what all objects have', 'hasOwnProperty'],
  ['what all objects have', '__defineGetter__'],
  ['nothing', 'nothing'],
  ['a long name', 'x'.repeat(128)],
] as const;

describe.each(PLACES)('a call of a grain %s', (_where, open) => {
  let place: Place;
  beforeAll(async () => {
    place = await open([Victim]);
  });
  afterAll(() => place[Symbol.asyncDispose]());

  test.each(NOT_METHODS)('of %s, `%s`, is METHOD_NOT_FOUND', async (_what, name) => {
    for (const reference of [place.grain(Victim, 'v'), place.grain('Victim', 'v')]) {
      const error = await failure((reference as unknown as Anything)[name]?.() as Promise<unknown>);
      expect(error).toBeInstanceOf(MethodNotFoundError);
      expect(error).toMatchObject({ code: 'METHOD_NOT_FOUND', retryable: false, grain: 'Victim/v' });
      expect(error.message).toContain(`Victim/v.${name}`);
    }
    const inside = await failure(place.grain(Victim, 'v').ask('Victim', 'w', name));
    expect(inside).toMatchObject({ code: 'METHOD_NOT_FOUND', grain: 'Victim/w' });
  });

  test('of a type that no silo has is GRAIN_TYPE_NOT_FOUND at once, and names the others', async () => {
    for (const type of ['Victin', 'Nothing', '__proto__', 'constructor']) {
      const error = await failure(
        (place.grain(type, 'k') as unknown as Anything).take?.() as Promise<unknown>,
      );
      expect(error).toMatchObject({ code: 'GRAIN_TYPE_NOT_FOUND', retryable: false });
      expect(error.message).toMatch(/Victim.*Silo\.start\(\{ grains/);
    }
    const inside = await failure(place.grain(Victim, 'v').ask('Nothing', 'k', 'take'));
    expect(inside).toMatchObject({ code: 'GRAIN_TYPE_NOT_FOUND' });
  });

  test.each([
    ['a function', () => () => {}, 'args[0]'],
    ['a function inside', () => ({ on: { done: () => {} } }), 'args[0].on.done'],
    ['a symbol', () => [1, Symbol('s')], 'args[0][1]'],
    ['an instance of a class that is not registered', () => ({ price: new Money(1) }), 'args[0].price'],
    ['a promise', () => Promise.resolve(), 'args[0]'],
    ['a WeakMap', () => [new WeakMap()], 'args[0][0]'],
    ['a value that holds itself', () => circle, 'args[0].self'],
    ['a symbol as a key', () => ({ a: { [Symbol('k')]: 1 } }), 'args[0].a'],
  ])('with %s is NOT_SERIALIZABLE at once, with the path', async (_what, value, path) => {
    const before = calls;
    const error = await failure(place.grain(Victim, 'v').take(value()));
    expect(error).toMatchObject({ code: 'NOT_SERIALIZABLE', path, grain: 'Victim/v' });
    expect(error.message).toContain(path);
    expect(calls).toBe(before);
    const second = await failure(place.grain(Victim, 'v').take('fine', value()));
    expect(second).toMatchObject({ path: path.replace('args[0]', 'args[1]') });
    const untyped = place.grain('Victim', 'v') as unknown as Anything;
    expect(await failure(untyped.take?.(value()) as Promise<unknown>)).toMatchObject({ path });
  });

  test('with a value that is nested too deep is NOT_SERIALIZABLE', async () => {
    expect(await failure(place.grain(Victim, 'v').take(deep()))).toMatchObject({ code: 'NOT_SERIALIZABLE' });
  });

  test('with an instance of a registered class is fine', async () => {
    expect(await place.grain(Victim, 'v').take({ weight: new Weight(3) }, immutable({ a: 1 }))).toBe('taken');
  });

  test('whose result cannot travel fails at its caller, with the path', async () => {
    const victim = place.grain(Victim, 'v');
    expect(await failure(victim.give('function'))).toMatchObject({
      code: 'NOT_SERIALIZABLE',
      path: 'result.list[1]',
    });
    expect(await failure(victim.give('instance'))).toMatchObject({
      code: 'NOT_SERIALIZABLE',
      path: 'result',
    });
  });

  test('with baggage that cannot travel is NOT_SERIALIZABLE', async () => {
    const victim = place.grain(Victim, 'v').$with({ request: { user: { log: () => {} } } });
    expect(await failure(victim.take())).toMatchObject({
      code: 'NOT_SERIALIZABLE',
      path: 'request.user.log',
    });
  });

  test.each([
    ['is misspelt', { timeout: 5 }, 'timeout'],
    ['is no number', { timeoutMs: Number.NaN }, 'NaN'],
    ['is text', { timeoutMs: '5' }, 'timeoutMs'],
    ['is baggage without names', { request: 'ada' }, 'request must be an object'],
    ['is baggage in a list', { request: ['ada'] }, 'request must be an object'],
    ['is no signal', { signal: {} }, 'AbortSignal'],
    ['is no signal but its controller', { signal: new AbortController() }, 'AbortSignal'],
  ])('with an option that %s is refused before it is made', (_what, options, named) => {
    const victim = place.grain(Victim, 'v');
    expect(() => victim.$with(options as never)).toThrow(InvalidConfigError);
    expect(() => victim.$with(options as never)).toThrow(named);
  });

  test('still works after all of that', async () => {
    expect(await place.grain(Victim, 'v').take()).toBe('taken');
  });
});

describe('too much for one call', () => {
  test.each([
    ['bytes', () => [new Uint8Array(LIMITS.callBytes + 1)]],
    ['text', () => ['x'.repeat(LIMITS.callBytes + 1)]],
    ['text of wide characters', () => ['漢'.repeat(LIMITS.callBytes / 3 + 1)]],
    ['several texts', () => ['x'.repeat(LIMITS.callBytes / 2 + 1), 'y'.repeat(LIMITS.callBytes / 2)]],
  ])('is refused at the sender: %s', async (_what, args) => {
    await using cluster = await TestCluster.start({ grains: [Victim], silos: ['a'] });
    const before = calls;
    const error = await failure(cluster.grain(Victim, 'v').take(...args()));
    expect(error).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', retryable: false, grain: 'Victim/v' });
    expect(calls).toBe(before);
    expect(await cluster.grain(Victim, 'v').take('small')).toBe('taken');
  });

  test.each(['bytes', 'text'])('is refused as a result: %s', async (what) => {
    await using cluster = await TestCluster.start({ grains: [Victim], silos: ['a'] });
    const error = await failure(cluster.grain(Victim, 'v').give(what));
    expect(error).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', grain: 'Victim/v' });
    expect(await cluster.grain(Victim, 'v').take('small')).toBe('taken');
  });
});

describe('keys', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({ grains: [Victim], silos: ['a', 'b'] });
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  test.each([
    ['an empty text', ''],
    ['an empty list', []],
    ['an empty part', ['a', '']],
    ['513 bytes', 'x'.repeat(513)],
    ['513 bytes of wide characters', '漢'.repeat(171)],
    ['513 bytes in parts', ['x'.repeat(256), 'y'.repeat(256)]],
    ['NaN', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
    ['null', null],
    ['undefined', undefined],
    ['a boolean', true],
    ['an object', { id: 1 }],
    ['a symbol', Symbol('k')],
    ['a list in a list', ['a', ['b']]],
    ['half a surrogate pair', 'a\ud800'],
  ])('that are %s are INVALID_KEY', async (_what, key) => {
    const error = await failure((async () => cluster.grain(Victim, key as GrainKey))());
    expect(error).toBeInstanceOf(InvalidKeyError);
    expect(error).toMatchObject({ code: 'INVALID_KEY' });
    expect(error.message).toMatch(/^Victim: /);
    if (typeof key === 'symbol' || key === undefined) return;
    const inside = await failure(cluster.grain(Victim, 'v').ask('Victim', key as GrainKey, 'take'));
    expect(inside).toMatchObject({ code: 'INVALID_KEY' });
  });

  test.each([
    ['a dot and a star', 'a.b.*.>'],
    ['spaces', ' a b '],
    ['slashes and percents', 'a/b%2F'],
    ['control characters', 'a\u0000\n\u007f'],
    ['all kinds of letters', 'ß漢😀\u200b'],
    ['512 bytes', 'x'.repeat(512)],
    ['512 bytes that are all escaped', '/'.repeat(512)],
    ['a name that objects have', '__proto__'],
    ['a negative fraction', -0.5],
    ['a huge integer', 2n ** 200n],
    ['parts', ['a', 7, 8n, 'b/c']],
  ])('may be %s', async (_what, key) => {
    expect(await cluster.grain(Victim, key).take()).toBe('taken');
    expect(cluster.activationsOf(Victim, key)).toHaveLength(1);
    expect(await cluster.silo('b').grain(Victim, key).take()).toBe('taken');
    expect(cluster.activationsOf(Victim, key)).toHaveLength(1);
  });

  test('42, 42n and "42" are one grain, and parts are not the text that joins them', () => {
    const id = (key: GrainKey) => cluster.grain(Victim, key).$id;
    expect(new Set([id(42), id(42n), id('42'), id(['42'])])).toEqual(new Set(['Victim/42']));
    expect(new Set([id(['a', 'b']), id('a/b'), id('a%2Fb'), id(['a/b', 'c'])]).size).toBe(4);
  });
});

describe('calls that did not come from a client of ours', () => {
  test.each(NOT_METHODS)('of %s, `%s`, are METHOD_NOT_FOUND', async (_what, name) => {
    const transport = inProcess();
    await using _silo = await Silo.start({ transport, grains: [Victim], log: 'silent' });
    const answer = await transport.request(`granary.granary.call.Victim.v.${name}`, Buffer.from('[]'));
    expect(JSON.parse(Buffer.from(answer).toString())).toMatchObject({ error: { code: 'METHOD_NOT_FOUND' } });
  });
});

describe('a grain type', () => {
  test('is found as soon as a silo that has it joins', async () => {
    await using cluster = await TestCluster.start({ grains: [Victim], silos: ['a', 'b'] });
    const keys = Array.from({ length: 12 }, (_, i) => `k${i}`);
    for (const key of keys) {
      expect(await failure(cluster.grain(Late, key).here())).toMatchObject({ code: 'GRAIN_TYPE_NOT_FOUND' });
    }
    await cluster.start('late', { grains: [Late] });
    for (const key of keys) expect(await cluster.grain(Late, key).here()).toBe('late');
    for (const key of keys) expect(await cluster.silo('a').grain(Late, key).here()).toBe('late');
    await cluster.stop('late');
    expect(await failure(cluster.grain(Late, 'k0').here())).toMatchObject({ code: 'GRAIN_TYPE_NOT_FOUND' });
  });
});

describe('a client', () => {
  test('may start before any silo: its calls wait for one', async () => {
    const transport = inProcess();
    await using client = await Client.connect({ transport, log: 'silent' });
    const call = client.grain<Victim>('Victim', 'v').take();
    await using _silo = await Silo.start({ transport, grains: [Victim], log: 'silent' });
    expect(await call).toBe('taken');
  });

  test('says NO_SILO at the deadline when none comes, and SILO_UNAVAILABLE after it was closed', async () => {
    const client = await Client.connect({ transport: inProcess(), callTimeoutMs: 80, log: 'silent' });
    const error = await failure(client.grain(Victim, 'v').take());
    expect(error).toMatchObject({ code: 'NO_SILO', retryable: true, grain: 'Victim/v' });
    const waiting = failure(client.grain(Victim, 'v').$with({ timeoutMs: 10_000 }).take());
    await client.close();
    expect(await waiting).toMatchObject({ code: 'SILO_UNAVAILABLE' });
    expect(await failure(client.grain(Victim, 'v').take())).toMatchObject({ code: 'SILO_UNAVAILABLE' });
    await client.close();
  });

  test('of another cluster on the same network does not meet this one', async () => {
    const transport = inProcess();
    await using _silo = await Silo.start({ transport, cluster: 'one', grains: [Victim], log: 'silent' });
    await using client = await Client.connect({
      transport,
      cluster: 'two',
      callTimeoutMs: 80,
      log: 'silent',
    });
    expect(await failure(client.grain(Victim, 'v').take())).toMatchObject({ code: 'NO_SILO' });
  });

  test.each<[string, unknown, RegExp]>([
    ['no options', undefined, /Client\.connect takes an object/],
    ['no transport', {}, /transport is missing.*nats\(/],
    ['a transport that is none', { transport: {} }, /transport is missing/],
    ['an unknown option', { transport: inProcess(), server: 'x' }, /no option 'server'.*transport/],
    ['a cluster name with a dot', { transport: inProcess(), cluster: 'a.b' }, /cluster is "a\.b".*letters/],
    ['a deadline of 0', { transport: inProcess(), callTimeoutMs: 0 }, /callTimeoutMs is 0/],
    ['a log level that is none', { transport: inProcess(), log: 'loud' }, /log is "loud".*'warn'/],
  ])('with %s does not start', async (_what, options, message) => {
    const error = await failure(Client.connect(options as ClientOptions));
    expect(error).toBeInstanceOf(InvalidConfigError);
    expect(error.message).toMatch(message);
  });
});

describe('a silo', () => {
  test.each<[string, Record<string, unknown> | undefined, RegExp]>([
    ['no grains', { grains: [] }, /grains is empty/],
    ['grains that are no list', { grains: Victim }, /grains is empty|grains/],
    [
      'a grain that is undefined',
      { grains: [undefined] },
      /undefined is not a grain class: it must extend Grain/,
    ],
    ['an unknown option', { grain: [Victim] }, /no option 'grain'.*grains/],
    ['a name with a dot', { name: 'a.b' }, /name is "a\.b".*letters/],
    ['a name that is too long', { name: 'x'.repeat(65) }, /name/],
    ['an empty name', { name: '' }, /name is ""/],
    ['a cluster name with a space', { cluster: 'my shop' }, /cluster/],
    ['partitions that are no power of two', { partitions: 1_000 }, /partitions is 1000.*power of two/],
    ['no replicas', { replicas: 0 }, /replicas is 0.*1 to 16/],
    ['half a replica', { replicas: 1.5 }, /replicas is 1\.5.*whole/],
    ['idleMs as text', { idleMs: '5' }, /idleMs is "5"/],
    ['drainMs below 0', { drainMs: -1 }, /drainMs is -1/],
    ['a deadline of more than a day', { callTimeoutMs: 1e9 }, /callTimeoutMs is 1000000000/],
    ['detection times in the wrong order', { detection: { heartbeatMs: 900 } }, /heartbeatMs < probeMs/],
    ['an unknown detection time', { detection: { hartbeatMs: 900 } }, /no option 'hartbeatMs'/],
    ['a store that is none', { stores: { default: {} } }, /store 'default'.*memory\(\)/],
    ['a store in place of stores', { stores: 'memory' }, /store '0' is no GrainStore/],
    ['a transport that is none', { transport: 'nats://localhost' }, /transport.*inProcess\(\)/],
    ['a log level that is none', { log: 'loud' }, /log is "loud".*'warn'/],
  ])('with %s does not start', async (_what, options, message) => {
    const given = { grains: [Victim], log: 'silent', ...options } as unknown as SiloOptions;
    const error = await failure(Silo.start(given));
    expect(error).toBeInstanceOf(InvalidConfigError);
    expect(error).toMatchObject({ code: 'INVALID_CONFIG' });
    expect(error.message).toMatch(message);
  });

  test('does not start without options', async () => {
    expect(await failure(Silo.start(undefined as never))).toBeInstanceOf(InvalidConfigError);
  });
});

test('a grain that is made with `new` says how to get a reference', () => {
  expect(() => new Victim()).toThrow(/silo\.grain\(Type, key\)/);
});
