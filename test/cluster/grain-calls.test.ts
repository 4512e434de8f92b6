import {
  CallCancelledError,
  CallTimeoutError,
  Grain,
  type GrainRef,
  grain,
  immutable,
  method,
} from 'granary';
import { TestCluster } from 'granary/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failure, nextEvent, PLACES, type Place } from '../support/places.ts';
import { Stage } from '../support/stage.ts';

const stage = new Stage();
const signals = new Map<string, AbortSignal>();

@grain()
class Worker extends Grain {
  #runs: string[] = [];

  @method()
  async work(place: string): Promise<string> {
    this.#runs.push(place);
    signals.set(place, this.context.signal);
    await stage.hold(place);
    return place;
  }

  @method({ timeoutMs: 60 })
  async hurried(place: string): Promise<string> {
    return this.work(place);
  }

  @method({ oneWay: true })
  async tell(place: string): Promise<void> {
    await this.work(place);
  }

  @method({ oneWay: true })
  async fail(): Promise<void> {
    throw new RangeError('nobody waits for this');
  }

  @method({ idempotent: true })
  async again(place: string): Promise<string> {
    return this.work(place);
  }

  @method()
  async runs(): Promise<readonly string[]> {
    return this.#runs;
  }

  /** Answered when everything that was sent before it has arrived. */
  @method({ interleave: true })
  async ping(): Promise<void> {}

  @method()
  async where(): Promise<string> {
    return this.context.silo;
  }
}

/** Passes a call on, with more time than it has itself. */
@grain()
class Middle extends Grain {
  @method()
  async pass(worker: string, place: string): Promise<string> {
    const late = this.grain(Worker, worker).$with({ timeoutMs: 60_000 });
    return late.work(place);
  }

  @method()
  async tell(worker: string, place: string): Promise<void> {
    await this.grain(Worker, worker).tell(place);
  }
}

@grain()
class Baggage extends Grain {
  @method()
  async show(): Promise<Readonly<Record<string, unknown>>> {
    return this.context.request;
  }

  @method()
  async pass(key: string, extra: Record<string, unknown>): Promise<Readonly<Record<string, unknown>>> {
    return this.grain(Baggage, key).$with({ request: extra }).show();
  }
}

@grain()
class Keeper extends Grain {
  #kept: unknown;

  @method()
  async keep(value: unknown): Promise<unknown> {
    this.#kept = value;
    return value;
  }

  @method()
  async kept(): Promise<unknown> {
    return this.#kept;
  }

  @method()
  async isKept(value: unknown): Promise<boolean> {
    return value === this.#kept;
  }

  @method()
  async callKept(): Promise<unknown> {
    return (this.#kept as GrainRef<Baggage>).show();
  }

  @method()
  async reference(key: string): Promise<GrainRef<Baggage>> {
    return this.grain(Baggage, key);
  }
}

const GRAINS = [Worker, Middle, Baggage, Keeper];

describe.each(PLACES)('calls of grains %s', (_where, open) => {
  let place: Place;
  const at = (name: string) => `${_where} ${name}`;
  beforeAll(async () => {
    place = await open(GRAINS);
  });
  afterAll(() => place[Symbol.asyncDispose]());

  test('do not wait when they are one-way, by the method or by the caller', async () => {
    const worker = place.grain(Worker, 'one-way');
    await worker.tell(at('told'));
    await stage.reached(at('told'));
    await worker.$with({ oneWay: true }).work(at('by caller'));
    const runs = worker.runs();
    stage.release(at('told'), at('by caller'));
    expect(await runs).toEqual([at('told'), at('by caller')]);
  });

  test('that are one-way tell of an error as an event only', async () => {
    const told = nextEvent(place, 'oneWayFailed');
    await place.grain(Worker, 'silent').fail();
    const event = await told;
    expect(event).toMatchObject({ grain: 'Worker/silent', method: 'fail' });
    expect(event.error).toBeInstanceOf(RangeError);
  });

  test.each(['method', 'caller'])('end at the deadline that the %s chose', async (who) => {
    const worker = place.grain(Worker, `slow-${who}`);
    const name = at(`slow ${who}`);
    const error = await failure(
      who === 'method' ? worker.hurried(name) : worker.$with({ timeoutMs: 60 }).work(name),
    );
    expect(error).toBeInstanceOf(CallTimeoutError);
    expect(error).toMatchObject({ code: 'CALL_TIMEOUT', retryable: true, grain: `Worker/slow-${who}` });
    expect(error.message).toMatch(/Worker\/slow-.*\.(hurried|work).*may have run/);
    await expect.poll(() => signals.get(name)?.aborted).toBe(true);
    stage.release(name);
    expect(await worker.runs()).toEqual([name]);
  });

  test('whose deadline passes while they wait never run', async () => {
    const worker = place.grain(Worker, 'queue');
    const first = worker.work(at('q1'));
    await stage.reached(at('q1'));
    expect(await failure(worker.$with({ timeoutMs: 40 }).work(at('q2')))).toMatchObject({
      code: 'CALL_TIMEOUT',
    });
    const expired = nextEvent(place, 'callExpired', (event) => event.grain === 'Worker/queue');
    stage.release(at('q1'), at('q2'));
    await first;
    await expired;
    expect(await worker.runs()).toEqual([at('q1')]);
  });

  test('are cancelled by a signal, which reaches the grain', async () => {
    const worker = place.grain(Worker, 'cancel');
    const controller = new AbortController();
    const call = worker.$with({ signal: controller.signal }).work(at('cancel'));
    await stage.reached(at('cancel'));
    expect(signals.get(at('cancel'))?.aborted).toBe(false);
    controller.abort(new Error('changed my mind'));
    const error = await failure(call);
    expect(error).toBeInstanceOf(CallCancelledError);
    expect(error).toMatchObject({ code: 'CALL_CANCELLED', retryable: false, grain: 'Worker/cancel' });
    expect((error.cause as Error).message).toBe('changed my mind');
    await expect.poll(() => signals.get(at('cancel'))?.aborted).toBe(true);
    stage.release(at('cancel'));
  });

  test('that are cancelled while they wait, or before they are sent, never run', async () => {
    const worker = place.grain(Worker, 'never');
    const first = worker.work(at('n1'));
    await stage.reached(at('n1'));
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = worker.$with({ signal }).work(at('n2'));
    const cause = new Error('the user has left');
    controller.abort(cause);
    expect(await failure(waiting)).toMatchObject({ code: 'CALL_CANCELLED', cause });
    const late = worker.$with({ signal }).work(at('n3'));
    expect(await failure(late)).toMatchObject({ code: 'CALL_CANCELLED', cause });
    await worker.ping();
    stage.release(at('n1'), at('n2'), at('n3'));
    await first;
    expect(await worker.runs()).toEqual([at('n1')]);
  });

  test('inherit the deadline of the call that makes them, however much time they ask for', async () => {
    const middle = place.grain(Middle, 'm');
    const call = middle.$with({ timeoutMs: 250 }).pass('deep', at('deep'));
    expect(await failure(call)).toMatchObject({ code: 'CALL_TIMEOUT' });
    await expect.poll(() => signals.get(at('deep'))?.aborted).toBe(true);
    stage.release(at('deep'));
  });

  test('that are one-way do not inherit it: nobody waits for them', async () => {
    await place.grain(Middle, 'o').$with({ timeoutMs: 5_000 }).tell('told', at('one-way deadline'));
    await stage.reached(at('one-way deadline'));
    stage.release(at('one-way deadline'));
  });

  test('carry baggage along the chain, and add to it', async () => {
    const baggage = place.grain(Baggage, 'a');
    const request = { user: 'ada', roles: ['admin'] };
    expect(await baggage.show()).toEqual({});
    expect(await baggage.$with({ request }).pass('b', { trace: 7 })).toEqual({ ...request, trace: 7 });
    expect(await baggage.$with({ request }).pass('b', { user: 'bob' })).toEqual({ ...request, user: 'bob' });
    const big = { request: { text: 'x'.repeat(9_000) } };
    expect(await failure(baggage.$with(big).show())).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
  });

  test('share no object between caller and grain', async () => {
    const keeper = place.grain(Keeper, 'isolated');
    const sent = { list: [1], map: new Map([['k', { n: 1 }]]) };
    const pending = keeper.keep(sent);
    sent.list.push(2); // also not before it has arrived
    const result = (await pending) as typeof sent;
    expect(result).toEqual({ list: [1], map: new Map([['k', { n: 1 }]]) });
    result.list.push(3);
    (result.map.get('k') as { n: number }).n = 9;
    expect(await keeper.kept()).toEqual({ list: [1], map: new Map([['k', { n: 1 }]]) });
  });

  test.each([
    ['undefined', undefined],
    ['null', null],
    ['a bigint', 2n ** 80n],
    ['-0', -0],
    ['NaN', Number.NaN],
    ['text with all kinds of characters', 'a\u0000ß漢😀'],
    [
      'dates, sets, maps and bytes',
      { at: new Date(5), set: new Set([1, 'x']), map: new Map([[{ k: 1 }, 2]]) },
    ],
    ['bytes', new Uint8Array([1, 2, 255])],
    ['undefined in objects and lists', { a: undefined, b: [undefined, null] }],
  ])('carry %s there and back', async (_what, value) => {
    const keeper = place.grain(Keeper, 'values');
    expect(await keeper.keep(value)).toStrictEqual(value);
    expect(await keeper.kept()).toStrictEqual(value);
  });

  test('carry references, which then belong to whoever got them', async () => {
    const keeper = place.grain(Keeper, 'references');
    const request = { user: 'eve' };
    const given = await keeper.reference('x');
    expect(given.$id).toBe('Baggage/x');
    expect(await given.$with({ request }).show()).toEqual(request);
    const kept = (await keeper.keep({ nested: [place.grain(Baggage, 'y')] })) as {
      nested: [GrainRef<Baggage>];
    };
    expect(await kept.nested[0].show()).toEqual({});
    await keeper.keep(place.grain(Baggage, 'z'));
    expect(await keeper.$with({ request }).callKept()).toEqual(request); // in the chain of its owner
  });

  test('carry 3 MB there and back, more than a message of the network', async () => {
    const keeper = place.grain(Keeper, 'large');
    const bytes = new Uint8Array(3 * 1024 * 1024).map((_, i) => i % 251);
    const text = 'abc'.repeat(1024 * 1024);
    expect(Buffer.compare((await keeper.keep(bytes)) as Uint8Array, bytes)).toBe(0);
    expect((await keeper.keep(text)) === text).toBe(true);
  });

  test('tell the grain its own place', async () => {
    expect(await place.grain(Worker, 'here').where()).toMatch(/^(silo-.{8}|[abc])$/);
  });
});

describe('immutable values', () => {
  test('are passed as they are within a process', async () => {
    const [[, open]] = PLACES as [(typeof PLACES)[0]];
    await using place = await open(GRAINS);
    const keeper = place.grain(Keeper, 'immutable');
    const value = immutable(Object.freeze({ list: Object.freeze([1]) }));
    expect(await keeper.keep(value)).toBe(value);
    expect(await keeper.isKept(value)).toBe(true);
    expect(await keeper.isKept({ ...value })).toBe(false);
  });
});

describe('when the silo that runs a call crashes', () => {
  async function crashDuring(
    call: (worker: GrainRef<Worker>, name: string) => Promise<string>,
    name: string,
  ) {
    const cluster = await TestCluster.start({ grains: GRAINS });
    const result = call(cluster.grain(Worker, 'crash'), name);
    await stage.reached(name);
    const silo = cluster.activationsOf(Worker, 'crash')[0]?.silo as string;
    cluster.crash(silo);
    return { cluster, result };
  }

  test('an idempotent call is tried again elsewhere', async () => {
    const { cluster, result } = await crashDuring((worker, name) => worker.again(name), 'idempotent');
    await using _ = cluster;
    stage.release('idempotent');
    expect(await result).toBe('idempotent');
    expect(stage.visits('idempotent')).toBe(2);
  });

  test('any other call fails by name, and is not run twice', async () => {
    const { cluster, result } = await crashDuring((worker, name) => worker.work(name), 'at most once');
    await using _ = cluster;
    const error = await failure(result);
    expect(error).toMatchObject({ code: 'SILO_UNAVAILABLE', retryable: true, grain: 'Worker/crash' });
    expect(error.message).toMatch(/may have run.*idempotent/);
    stage.release('at most once');
    expect(await cluster.grain(Worker, 'crash').runs()).toEqual([]);
    expect(stage.visits('at most once')).toBe(1);
  });
});
