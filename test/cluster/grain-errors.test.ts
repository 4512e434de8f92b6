import { Grain, grain, method, registerError } from 'granary';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failure, PLACES, type Place } from '../support/places.ts';

class PaymentError extends Error {
  readonly iban: string;
  constructor(message: string, iban: string) {
    super(message);
    this.iban = iban;
  }
  get country(): string {
    return this.iban.slice(0, 2);
  }
}
registerError(PaymentError);

class SecretError extends Error {
  override name = 'SecretError';
  readonly level = 3;
}

const THROWN: Readonly<Record<string, () => unknown>> = {
  registered: () => new PaymentError('refused', 'DE02'),
  unregistered: () => new SecretError('hush'),
  fields: () => Object.assign(new RangeError('far'), { limit: 7, at: new Date(3), nested: { list: [1] } }),
  cause: () => new Error('outer', { cause: new TypeError('inner', { cause: { code: 1 } }) }),
  aggregate: () => new AggregateError([new TypeError('a'), new PaymentError('b', 'AT1')], 'both'),
  text: () => 'just text',
  nothing: () => undefined,
  unfit: () => Object.assign(new Error('with a socket'), { socket: () => {}, port: 80 }),
};

@grain()
class Thrower extends Grain {
  @method()
  async fail(what: string): Promise<void> {
    throw THROWN[what]?.();
  }

  /** Not async itself: throws before there is a promise. */
  @method()
  failAtOnce(what: string): Promise<void> {
    throw THROWN[what]?.();
  }

  @method()
  async pass(what: string): Promise<void> {
    await this.grain(Thrower, 'next').fail(what);
  }

  @method()
  async caught(what: string): Promise<string> {
    const error = await failure(this.grain(Thrower, 'next').fail(what));
    return `${error.constructor.name}: ${error.message}`;
  }

  @method()
  async alive(): Promise<string> {
    return this.context.activationId;
  }
}

describe.each(PLACES)('an error that a grain throws, %s,', (_where, open) => {
  let place: Place;
  const fail = (what: string) => failure(place.grain(Thrower, 't').fail(what));
  beforeAll(async () => {
    place = await open([Thrower]);
  });
  afterAll(() => place[Symbol.asyncDispose]());

  test('keeps its class, when that is built in or registered', async () => {
    const error = await fail('registered');
    expect(error).toBeInstanceOf(PaymentError);
    expect(error).toMatchObject({ message: 'refused', iban: 'DE02', country: 'DE' });
    expect(await fail('fields')).toBeInstanceOf(RangeError);
    const aggregate = (await fail('aggregate')) as unknown as AggregateError;
    expect(aggregate).toBeInstanceOf(AggregateError);
    expect(aggregate.errors[0]).toBeInstanceOf(TypeError);
    expect(aggregate.errors[1]).toBeInstanceOf(PaymentError);
  });

  test('keeps its name, message and fields in any case', async () => {
    const error = await fail('unregistered');
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: 'SecretError', message: 'hush', level: 3 });
    expect(await fail('fields')).toMatchObject({ limit: 7, at: new Date(3), nested: { list: [1] } });
    expect(await fail('unfit')).toMatchObject({ message: 'with a socket', port: 80 });
  });

  test('keeps its causes and the stack of where it was thrown', async () => {
    const error = await fail('cause');
    expect(error.cause).toBeInstanceOf(TypeError);
    expect(error.cause).toMatchObject({ message: 'inner', cause: { code: 1 } });
    expect(error.stack).toMatch(/Thrower\.fail|grain-errors\.test\.ts/);
  });

  test('is an error also when something else was thrown', async () => {
    for (const what of ['text', 'nothing']) {
      const error = await fail(what);
      expect(error).toBeInstanceOf(Error);
      expect(error.message).toMatch(/threw a value that is not an error/);
    }
    expect((await fail('text')).cause).toBe('just text');
  });

  test('comes the same way from a method that throws before its first await', async () => {
    expect(await failure(place.grain(Thrower, 't').failAtOnce('registered'))).toBeInstanceOf(PaymentError);
  });

  test('passes through a grain that does not catch it, and can be caught there', async () => {
    expect(await failure(place.grain(Thrower, 't').pass('registered'))).toBeInstanceOf(PaymentError);
    expect(await place.grain(Thrower, 't').caught('registered')).toBe('PaymentError: refused');
  });

  test('ends only its call: the activation stays', async () => {
    const life = await place.grain(Thrower, 't').alive();
    await fail('fields');
    expect(await place.grain(Thrower, 't').alive()).toBe(life);
  });
});
