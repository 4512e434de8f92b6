import { Grain, type GrainRef, grain, LIMITS, memory, method, Silo } from 'granary';
import { describe, expect, test } from 'vitest';
import { failure, nextEvent, PLACES } from '../support/places.ts';
import {
  Chained,
  Forgetful,
  GRAINS,
  gate,
  keyed,
  reasons,
  runsOf,
  Till,
  Watched,
  Worker,
} from '../support/till.ts';

describe.each(PLACES)('a call with an idempotency key %s', (where, open) => {
  const named = (name: string) => `${name}, ${where.slice(0, 8)}`;

  test('takes effect once and always has the same answer, in later activations too', async () => {
    await using place = await open(GRAINS, { stores: { default: memory() } });
    const key = named('once');
    const till = place.grain(Till, key);
    expect(await keyed(till, 'order-77').put(5)).toEqual({ total: 5 });
    await till.put(100);
    expect(await keyed(till, 'order-77').put(5)).toEqual({ total: 5 });
    await till.close();
    expect(await keyed(till, 'order-77').put(5)).toEqual({ total: 5 });
    expect(await keyed(till, 'order-78').put(5)).toEqual({ total: 110 });
    expect(runsOf(key)).toBe(3);
    expect(await till.total()).toBe(110);
  });

  test('made many times at once, takes effect once', async () => {
    await using place = await open(GRAINS, { stores: { default: memory() } });
    const key = named('at once');
    const till = place.grain(Till, key);
    const calls = Array.from({ length: 20 }, () => keyed(till, 'k').put(1));
    expect(new Set((await Promise.all(calls)).map(({ total }) => total))).toEqual(new Set([1]));
    expect([runsOf(key), await till.total()]).toEqual([1, 1]);
  });

  test('is one write: what it saves is stored when it has ended, with its answer', async () => {
    const store = new Watched();
    await using place = await open(GRAINS, { stores: { default: store } });
    const key = named('one write');
    const till = place.grain(Till, key);
    const { reached, open: go } = gate(key);
    const call = keyed(till, 'k').put(5, { wait: key });
    await reached;
    expect(store.writes).toEqual([]); // though it has called save()
    go();
    await call;
    expect(store.writes).toHaveLength(1);
    await keyed(till, 'k').put(5, { wait: key });
    expect(store.writes).toHaveLength(1); // the answer was there
    expect(await keyed(till, 'l').put(1, { save: false })).toEqual({ total: 6 });
    expect(store.writes).toHaveLength(2); // though it has not called save()
    await till.close();
    expect(await till.total()).toBe(6);
  });

  test('with the key of another call is refused by name, and does not run', async () => {
    await using place = await open(GRAINS, { stores: { default: memory() } });
    const till = place.grain(Till, named('reused'));
    await keyed(till, 'k').put(5);
    const reused = { name: 'IdempotencyKeyReusedError', code: 'IDEMPOTENCY_KEY_REUSED', retryable: false };
    const others = [failure(keyed(till, 'k').put(6)), failure(keyed(till, 'k').take(5))];
    for (const error of await Promise.all(others)) expect(error).toMatchObject(reused);
    expect((await others[0])?.message).toMatch(/\.put: the idempotency key 'k' .* with other arguments/);
    expect((await others[1])?.message).toMatch(/\.take: the idempotency key 'k' belongs to a call of put/);
    expect(await till.total()).toBe(5);
    // A key is one grain's own.
    expect(await keyed(place.grain(Till, named('another')), 'k').take(5)).toBe(-5);
  });

  test('that throws has changed nothing, and runs when it is made again', async () => {
    await using place = await open(GRAINS, { stores: { default: memory() } });
    for (const how of ['saves at the end', 'does not save']) {
      const key = named(how);
      const till = place.grain(Till, key);
      await keyed(till, 'a').put(5);
      const life = await till.life();
      expect(await failure(keyed(till, 'k').put(1, { fail: 'before' }))).toBeInstanceOf(RangeError);
      expect(await till.life()).toBe(life); // nothing had changed, so nothing has to be undone
      const gone = nextEvent(place, 'activationGone');
      expect(await failure(keyed(till, 'l').put(1, { fail: 'after' }))).toBeInstanceOf(RangeError);
      expect(await gone).toMatchObject({ activationId: life, reason: 'keyedCallFailed' });
      expect(reasons).toContain(`${key} keyedCallFailed`);
      expect(await till.total()).toBe(5);
      for (const k of ['k', 'l']) await keyed(till, k).put(1);
      expect(await till.total()).toBe(7);
    }
  });

  test.each(['before write', 'after write'] as const)(
    'whose store fails %s is safe to be made again',
    async (when) => {
      const store = new Watched();
      await using place = await open(GRAINS, { stores: { default: store } });
      const till = place.grain(Till, named(when));
      await keyed(till, 'a').put(5);
      store.failNext = when;
      expect(await failure(keyed(till, 'k').put(1))).toMatchObject({ code: 'STORE_FAILED', retryable: true });
      expect(await keyed(till, 'k').put(1)).toEqual({ total: 6 });
      expect(await keyed(till, 'k').put(1)).toEqual({ total: 6 });
      expect(await till.total()).toBe(6);
    },
  );

  test('with `retry` needs no more to be done about a store that fails', async () => {
    const store = new Watched();
    await using place = await open(GRAINS, { stores: { default: store } });
    const key = named('retry');
    const till = place.grain(Till, key);
    for (const [n, when] of (['before write', 'after write'] as const).entries()) {
      store.failNext = when;
      const call = till.$with({ idempotencyKey: when, retry: { attempts: 3, delayMs: 1 } });
      expect(await call.put(1)).toEqual({ total: n + 1 });
    }
    expect([runsOf(key), await till.total()]).toEqual([3, 2]); // after the write the answer was there
  });

  test('may be one-way', async () => {
    await using place = await open(GRAINS, { stores: { default: memory() } });
    const till = place.grain(Till, named('one-way'));
    const send = till.$with({ idempotencyKey: 'k', oneWay: true });
    for (let n = 0; n < 3; n++) await send.put(5);
    expect(await keyed(till, 'k').put(5)).toEqual({ total: 5 });
  });

  test.each([
    ['readOnly', (till: GrainRef<Till>) => keyed(till, 'k').total(), /it is read-only/],
    ['interleave', (till: GrainRef<Till>) => keyed(till, 'k').note('n'), /it may run beside others/],
    ['a stream', async (till: GrainRef<Till>) => keyed(till, 'k').all().next(), /it is a stream/],
  ])('of a method that is %s is refused by name', async (_what, call, message) => {
    await using place = await open(GRAINS, { stores: { default: memory() } });
    const error = await failure(call(place.grain(Till, 'unfit')));
    expect(error).toMatchObject({ code: 'INVALID_CONFIG', grain: 'Till/unfit' });
    expect(error.message).toMatch(/cannot be called with an idempotencyKey: /);
    expect(error.message).toMatch(message);
  });

  test.each([
    ['worker', Worker, /stateless worker/],
    ["class without the record 'state'", Forgetful, /no record 'state'/],
    ['class that lets calls back in', Chained, /it may run beside others/],
  ])('of a %s is refused by name', async (_what, Class, message) => {
    await using place = await open(GRAINS, { stores: { default: memory() } });
    const ref = place.grain<Chained>(Class as typeof Chained, 'x');
    const error = await failure(ref.$with({ idempotencyKey: 'k' }).run());
    expect(error.message).toMatch(message);
    await ref.run();
  });
});

test.each(['', 'x'.repeat(LIMITS.idempotencyKeyChars + 1), 7, null])(
  'an idempotency key that is none (%#) is refused where it is given',
  async (idempotencyKey) => {
    await using silo = await Silo.start({ grains: GRAINS, log: 'silent' });
    const till = silo.grain(Till, 'x');
    expect(() => till.$with({ idempotencyKey: idempotencyKey as string })).toThrow(
      /^Till\/x\.\$with\(\): idempotencyKey must be a text of 1 to 256 characters/,
    );
  },
);

test('an observer is not called with a key: it keeps nothing', async () => {
  await using silo = await Silo.start({ grains: GRAINS, log: 'silent' });
  const observer = silo.observe({ hear: () => {} });
  expect(() => observer.$with({ idempotencyKey: 'k' })).toThrow(/an observer keeps no answers/);
});

test.each([0, 1.5, 10_001])(
  'a class that would keep %d answers is refused by name',
  async (idempotencyKeys) => {
    @grain({ idempotencyKeys })
    class Wrong extends Grain {
      @method() async run(): Promise<void> {}
    }
    await expect(Silo.start({ grains: [Wrong], log: 'silent' })).rejects.toThrow(
      /class Wrong: @grain: idempotencyKeys is /,
    );
  },
);
