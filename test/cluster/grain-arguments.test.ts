import {
  Grain,
  type GrainRef,
  grain,
  InvalidArgumentsError,
  LIMITS,
  method,
  Silo,
  type StandardSchema,
} from 'granary';
import * as v from 'valibot';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { failure, nextEvent, PLACES, type Place } from '../support/places.ts';

const isReference = (value: unknown) => typeof (value as { $id?: unknown }).$id === 'string';

/** What ran, with what. */
let ran: unknown[][] = [];
/** Each gives an answer of the slow schema below. */
let answers: (() => void)[] = [];

const Order = z.object({ items: z.array(z.object({ price: z.number().positive() })).min(1) });

/** Takes its time, and refuses what is negative. */
const slow: StandardSchema<unknown, number> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) =>
      new Promise((resolve) => {
        answers.push(() =>
          resolve(Number(value) < 0 ? { issues: [{ message: 'negative' }] } : { value: Number(value) * 10 }),
        );
      }),
  },
};

const broken: StandardSchema<unknown, unknown> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: () => {
      throw new RangeError('the schema is broken');
    },
  },
};

/** Breaks its promise: what it gives is no list. */
const noList: StandardSchema<unknown, readonly unknown[]> = {
  '~standard': {
    ...{ version: 1, vendor: 'test' },
    validate: () => ({ value: { length: 1 } as unknown as readonly unknown[] }),
  },
};

@grain()
class Shop extends Grain {
  @method({ args: [Order, z.string().default('card')] })
  async order(order: z.infer<typeof Order>, by: string): Promise<number> {
    ran.push([order, by]);
    return order.items.length;
  }

  @method({ args: z.tuple([z.string()], z.number()) })
  async sum(what: string, ...numbers: number[]): Promise<string> {
    ran.push([what, ...numbers]);
    return `${what} ${numbers.reduce((a, b) => a + b, 0)}`;
  }

  @method({ args: [v.pipe(v.string(), v.transform(Number), v.minValue(1, 'at least 1'))] })
  async page(number: number): Promise<number> {
    ran.push([number]);
    return number;
  }

  @method({ args: [z.string().optional(), z.string().optional()] })
  async count(...given: (string | undefined)[]): Promise<number> {
    ran.push(given);
    return given.length;
  }

  @method({ args: [] })
  async nothing(): Promise<string> {
    ran.push([]);
    return 'nothing';
  }

  @method({ args: [z.number().int()], oneWay: true })
  async told(n: number): Promise<void> {
    ran.push([n]);
  }

  @method({ args: [z.number().int().max(3)] })
  async *upTo(n: number): AsyncGenerator<number> {
    ran.push([n]);
    for (let i = 1; i <= n; i++) yield i;
  }

  @method({ args: [slow] })
  async slowly(n: number): Promise<number> {
    ran.push(['slowly', n]);
    return n;
  }

  @method({ args: [slow], interleave: true })
  async *slowItems(n: number): AsyncGenerator<number> {
    yield n;
  }

  /** The calls that wait go to the next activation. */
  @method()
  async leave(): Promise<void> {
    this.context.deactivate();
    await new Promise(setImmediate);
  }

  @method()
  async plain(n: number): Promise<number> {
    ran.push(['plain', n]);
    return n;
  }

  @method({ args: [broken] })
  async unasked(_value: unknown): Promise<void> {
    ran.push(['unasked']);
  }

  @method({ args: noList })
  async unlisted(..._values: unknown[]): Promise<void> {
    ran.push(['unlisted']);
  }

  @method({ args: [z.custom<GrainRef<Shop>>((value) => isReference(value))] })
  async ask(other: GrainRef<Shop>): Promise<number> {
    return other.plain(7);
  }
}

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const read: Item[] = [];
  for await (const item of items) read.push(item);
  return read;
}

/** A call as somebody makes it whose compiler knows nothing of the class. */
type Loose = Record<string, (...args: unknown[]) => Promise<unknown> & AsyncIterable<unknown>>;

beforeEach(() => {
  ran = [];
  answers = [];
});

describe.each(PLACES)('arguments with schemas, %s', (_where, start) => {
  let place: Place;
  const shop = (key: string) => place.grain(Shop, key);
  const loose = (key: string) => place.grain(Shop, key) as unknown as Loose;

  beforeAll(async () => {
    place = await start([Shop]);
  });
  afterAll(() => place[Symbol.asyncDispose]());

  test('reach the method as the schemas make them, one for each, with defaults', async () => {
    expect(await loose('a').order?.({ items: [{ price: 1, unknown: true }] })).toBe(1);
    expect(ran).toEqual([[{ items: [{ price: 1 }] }, 'card']]);
  });

  test('reach the method as one schema of the list of them makes them', async () => {
    expect(await shop('a').sum('tea', 1, 2)).toBe('tea 3');
    expect(await failure(loose('a').sum?.('tea', 1, 'two') as Promise<unknown>)).toMatchObject({
      issues: [{ path: 'args[2]' }],
    });
  });

  test('may be made into something else, once, wherever the call comes by', async () => {
    expect(await loose('a').page?.('12')).toBe(12);
    expect(await failure(loose('a').page?.('0') as Promise<unknown>)).toMatchObject({
      issues: [{ path: 'args[0]', message: 'at least 1' }],
    });
  });

  test('are made anew from what was sent, when the call has to wait for the next activation', async () => {
    const left = shop('leaver').leave();
    const pages = ['3', '4'].map((text) => loose('leaver').page?.(text));
    expect(await Promise.all([left, ...pages])).toEqual([undefined, 3, 4]);
  });

  test('that were left out stay out, and those that are too many are refused', async () => {
    expect(await shop('a').count()).toBe(0);
    expect(await shop('a').count('x')).toBe(1);
    expect(await shop('a').count('x', undefined)).toBe(2);
    expect(await failure(shop('a').count('x', 'y', 'z'))).toMatchObject({ code: 'INVALID_ARGUMENTS' });
    expect(await shop('a').nothing()).toBe('nothing');
    expect(await failure(loose('a').nothing?.(1) as Promise<unknown>)).toMatchObject({
      issues: [{ path: 'args[0]', message: 'there are 1 arguments, the method takes 0' }],
    });
  });

  test('that are refused say where and why, and the method does not run', async () => {
    const error = await failure(
      loose('a').order?.({ items: [{ price: 1 }, { price: -1 }] }, 5) as Promise<unknown>,
    );
    expect(error).toBeInstanceOf(InvalidArgumentsError);
    expect(error).toMatchObject({
      ...{ code: 'INVALID_ARGUMENTS', retryable: false, grain: 'Shop/a', method: 'order' },
      issues: [{ path: 'args[0].items[1].price' }, { path: 'args[1]' }],
    });
    expect(error.message).toMatch(/^Shop\/a\.order refuses its arguments: args\[0\]\.items\[1\]\.price: /);
    expect(ran).toEqual([]);
  });

  test('of a one-way call that are refused leave a failure to listen to', async () => {
    const failed = nextEvent(place, 'oneWayFailed');
    await loose('a').told?.('one');
    expect((await failed).error).toMatchObject({ code: 'INVALID_ARGUMENTS' });
    expect(ran).toEqual([]);
  });

  test('of a stream are refused with the first item', async () => {
    expect(await all(shop('a').upTo(3))).toEqual([1, 2, 3]);
    await expect(all(shop('a').upTo(4))).rejects.toThrow(InvalidArgumentsError);
    expect(ran).toEqual([[3]]);
  });

  test('may be references, which call what the grain calls', async () => {
    expect(await shop('a').ask(shop('b'))).toBe(7);
    expect(await failure(loose('a').ask?.('b') as Promise<unknown>)).toMatchObject({
      code: 'INVALID_ARGUMENTS',
    });
  });

  test('may be checked by a schema that takes its time, and the calls behind it wait', async () => {
    const first = shop('slow').slowly(1);
    const second = shop('slow').plain(2);
    await expect.poll(() => answers).toHaveLength(1);
    expect(ran).toEqual([]);
    answers[0]?.();
    expect(await Promise.all([first, second])).toEqual([10, 2]);
    expect(ran).toEqual([
      ['slowly', 10],
      ['plain', 2],
    ]);
  });

  test('may be refused by a schema that takes its time, and the method does not run', async () => {
    const refused = failure(shop('slow').slowly(-1));
    await expect.poll(() => answers).toHaveLength(1);
    answers[0]?.();
    expect(await refused).toMatchObject({ code: 'INVALID_ARGUMENTS', issues: [{ message: 'negative' }] });
    expect(ran).toEqual([]);
  });

  test('of a stream may be checked by a schema that takes its time', async () => {
    const items = all(shop('slow').slowItems(4));
    await expect.poll(() => answers).toHaveLength(1);
    answers[0]?.();
    expect(await items).toEqual([40]);
  });

  test('whose schema breaks fail with what it throws, and one that gives no list is named', async () => {
    await expect(shop('a').unasked(1)).rejects.toThrow(new RangeError('the schema is broken'));
    await expect(shop('a').unlisted(1)).rejects.toThrow('the schema in args gives no list');
    expect(ran).toEqual([]);
  });
});

test('what a schema refuses in a thousand places is told in part', async () => {
  await using silo = await Silo.start({ grains: [Shop], log: 'silent' });
  const items = Array.from({ length: 1_000 }, () => ({ price: 0 }));
  const error = await failure(silo.grain(Shop, 'a').order({ items }, 'card'));
  expect(error.issues).toHaveLength(LIMITS.schemaIssues);
  expect(error.message).toMatch(/; and 997 more$/);
});
