import {
  Client,
  Grain,
  type GrainRef,
  grain,
  inProcess,
  LIMITS,
  method,
  NotSerializableError,
  Silo,
} from 'granary';
import { TestCluster } from 'granary/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failure, nextEvent, PLACES, type Place } from '../support/places.ts';
import { Stage } from '../support/stage.ts';

const stage = new Stage();
const produced = new Map<string, number>();
const signals = new Map<string, AbortSignal>();

@grain({ idleMs: 40 })
class Source extends Grain {
  #other = 0;

  @method()
  async *count(to: number, name = this.key): AsyncGenerator<number> {
    signals.set(name, this.context.signal);
    try {
      for (let i = 0; i < to; i++) {
        produced.set(name, i + 1);
        yield i;
      }
    } finally {
      stage.pass(`${name} finally`);
    }
  }

  @method()
  async *failing(error: string): AsyncGenerator<number> {
    yield 1;
    yield 2;
    throw new RangeError(error);
  }

  @method()
  async *unfit(name: string): AsyncGenerator<unknown> {
    try {
      yield 1;
      yield { handler: () => {} };
      for (;;) yield 3;
    } finally {
      stage.pass(`${name} finally`);
    }
  }

  @method()
  async *values(): AsyncGenerator<unknown> {
    yield { at: new Date(5) };
    yield undefined;
    yield this.grain(Source, 'other');
  }

  @method()
  async *none(): AsyncGenerator<number> {}

  @method()
  async between(): Promise<number> {
    return ++this.#other;
  }

  @method()
  async hold(name: string): Promise<void> {
    await stage.hold(name);
  }

  @method({ interleave: true })
  async ping(): Promise<void> {}

  @method()
  async close(): Promise<void> {
    this.context.deactivate();
  }
}

/** Reads a stream from inside of a grain. */
@grain()
class Reader extends Grain {
  @method()
  async sum(source: GrainRef<Source>, to: number): Promise<number> {
    let sum = 0;
    for await (const n of source.count(to)) sum += n;
    return sum;
  }
}

const GRAINS = [Source, Reader];

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

describe.each(PLACES)('a stream of a grain %s', (where, open) => {
  let place: Place;
  const key = (name: string) => `${name} ${where}`;
  beforeAll(async () => {
    place = await open(GRAINS);
  });
  afterAll(() => place[Symbol.asyncDispose]());

  test('is read with `for await`, in order, to its end', async () => {
    const source = place.grain(Source, key('all'));
    expect(await all(source.count(1_000))).toEqual(upTo(1_000));
    expect(await all(source.none())).toEqual([]);
    expect(stage.visits(`${key('all')} finally`)).toBe(1);
  });

  test('carries values and references like a call', async () => {
    const [first, second, third] = await all(place.grain(Source, key('values')).values());
    expect([first, second]).toEqual([{ at: new Date(5) }, undefined]);
    expect(await (third as GrainRef<Source>).between()).toBe(1);
  });

  test('does not start before its first item is asked for', async () => {
    const stream = place.grain(Source, key('lazy')).count(5);
    await place.grain(Source, key('lazy')).between();
    expect(produced.get(key('lazy'))).toBeUndefined();
    expect(await all(stream)).toHaveLength(5);
  });

  test('runs the `finally` of its producer when the reader leaves early', async () => {
    const source = place.grain(Source, key('early'));
    for await (const n of source.count(100_000)) if (n === 3) break;
    await stage.reached(`${key('early')} finally`);
    expect(produced.get(key('early'))).toBeLessThanOrEqual(4 + LIMITS.streamWindow);
    expect(await source.between()).toBe(1);
  });

  test('runs that `finally` as a turn, beside no other', async () => {
    const source = place.grain(Source, key('turn'));
    const stream = source.count(100_000);
    await stream.next();
    const held = source.hold(key('hold'));
    await stage.reached(key('hold'));
    await stream.return?.();
    await source.ping(); // the reader's leaving has arrived
    expect(stage.visits(`${key('turn')} finally`)).toBe(0);
    stage.release(key('hold'));
    await held;
    await stage.reached(`${key('turn')} finally`);
  });

  test('holds its producer back when the reader is slow', async () => {
    const source = place.grain(Source, key('slow'));
    const stream = source.count(10_000);
    for (let read = 1; read <= 100; read++) {
      await stream.next();
      if (read % 25 === 0) {
        await source.between();
        await new Promise(setImmediate); // time for the producer to run ahead
      }
      expect(produced.get(key('slow'))).toBeLessThanOrEqual(read + LIMITS.streamWindow);
    }
    await expect.poll(() => produced.get(key('slow'))).toBeGreaterThanOrEqual(100 + LIMITS.streamWindow / 2);
    await stream.return?.();
    await stage.reached(`${key('slow')} finally`);
  });

  test('fails with what its producer throws, after the items before it', async () => {
    const items: number[] = [];
    const error = await failure(
      (async () => {
        for await (const n of place.grain(Source, key('failing')).failing('torn')) items.push(n);
      })(),
    );
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toBe('torn');
    expect(items).toEqual([1, 2]);
  });

  test('ends with NOT_SERIALIZABLE at an item that cannot travel, and its producer ends, too', async () => {
    const source = place.grain(Source, key('unfit'));
    const error = await failure(all(source.unfit(key('unfit'))));
    expect(error).toBeInstanceOf(NotSerializableError);
    expect(error).toMatchObject({ path: 'item.handler' });
    await stage.reached(`${key('unfit')} finally`);
  });

  test('can be read by several readers, each with items of its own', async () => {
    const source = place.grain(Source, key('two'));
    const [one, two] = [source.count(200, key('two 1')), source.count(200, key('two 2'))];
    expect(await Promise.all([all(one), all(two)])).toEqual([upTo(200), upTo(200)]);
  });

  test('lets other calls have their turns between items', async () => {
    const source = place.grain(Source, key('between'));
    const stream = source.count(1_000_000);
    await stream.next();
    expect(await source.between()).toBe(1);
    expect((await stream.next()).value).toBe(1);
    await stream.return?.();
  });

  test('is cancelled by a signal, which reaches its producer', async () => {
    const source = place.grain(Source, key('signal'));
    const controller = new AbortController();
    const stream = source.$with({ signal: controller.signal }).count(1_000_000);
    await stream.next();
    controller.abort();
    expect(await failure(all(stream))).toMatchObject({ code: 'CALL_CANCELLED' });
    await stage.reached(`${key('signal')} finally`);
  });

  test('ends at its deadline when it has one', async () => {
    const stream = place.grain(Source, key('deadline')).$with({ timeoutMs: 100 }).count(1_000_000);
    await stream.next();
    const error = await failure(
      (async () => {
        for (;;) await stream.next();
      })(),
    );
    expect(error).toMatchObject({ code: 'CALL_TIMEOUT' });
  });

  test('can be read through a reference that knows only a name', async () => {
    const source = place.grain('Source', key('untyped')) as unknown as GrainRef<Source>;
    expect(await all(source.count(100))).toEqual(upTo(100));
    expect(await source.between()).toBe(1);
  });

  test('can be read by another grain', async () => {
    const reader = place.grain(Reader, key('reader'));
    expect(await reader.sum(place.grain(Source, key('read')), 500)).toBe((499 * 500) / 2);
  });

  test('ends by name when its activation ends, and does not start over elsewhere', async () => {
    const source = place.grain(Source, key('closed'));
    const streams = [source.count(1_000_000, key('closed 1')), source.count(1_000_000, key('closed 2'))];
    await Promise.all(streams.map((stream) => stream.next()));
    await source.close();
    for (const stream of streams)
      expect(await failure(all(stream))).toMatchObject({ code: 'SILO_UNAVAILABLE' });
    await Promise.all([1, 2].map((n) => stage.reached(`${key(`closed ${n}`)} finally`)));
    const counts = [1, 2].map((n) => produced.get(key(`closed ${n}`)));
    const idle = nextEvent(place, 'activationGone', (event) => event.grain === `Source/${key('closed')}`);
    await source.between();
    expect((await idle).reason).toBe('idle'); // a stream that went on would keep it
    expect([1, 2].map((n) => produced.get(key(`closed ${n}`)))).toEqual(counts);
  });

  test.each(['early', 'unfit', 'failing', 'signal', 'deadline'])(
    'leaves nothing that keeps its activation from being collected: %s',
    async (how) => {
      const source = place.grain(Source, key(`idle ${how}`));
      const gone = nextEvent(
        place,
        'activationGone',
        (event) => event.grain === `Source/${key(`idle ${how}`)}`,
      );
      const controller = new AbortController();
      const streams: Record<string, () => AsyncIterable<unknown>> = {
        early: () => source.count(100_000),
        unfit: () => source.unfit(key('idle unfit')),
        failing: () => source.failing('x'),
        signal: () => source.$with({ signal: controller.signal }).count(1_000_000),
        deadline: () => source.$with({ timeoutMs: 50 }).count(1_000_000),
      };
      try {
        for await (const item of (streams[how] as () => AsyncIterable<unknown>)()) {
          if (how === 'early') break;
          if (how === 'signal') controller.abort();
          if (how === 'deadline' && item === 5) await stage.reached(`${key('idle deadline')} finally`);
        }
      } catch {}
      expect((await gone).reason).toBe('idle');
    },
  );
});

test('a stream that asked for its signal leaves no timer behind', async () => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  await using cluster = await TestCluster.start({ grains: GRAINS, silos: ['a'] });
  const source = cluster.silo('a').grain(Source, 'timers');
  await all(source.count(3));
  await all(cluster.grain(Source, 'timers').count(3));
  const before = timers();
  for (let i = 0; i < 20; i++) await all(source.count(3));
  for (let i = 0; i < 20; i++)
    for await (const n of cluster.grain(Source, 'timers').count(1_000)) if (n === 3) break;
  await expect.poll(timers).toBeLessThanOrEqual(before + 3);
});

test('a stream fails by name when the silo of its producer crashes', async () => {
  await using cluster = await TestCluster.start({ grains: GRAINS });
  const stream = cluster.grain(Source, 'crash').count(1_000_000);
  await stream.next();
  cluster.crash(cluster.activationsOf(Source, 'crash')[0]?.silo as string);
  expect(await failure(all(stream))).toMatchObject({ code: 'SILO_UNAVAILABLE', grain: 'Source/crash' });
});

test('a stream that is awaited, and a call that is read like one, are refused with the remedy', async () => {
  const transport = inProcess();
  await using _silo = await Silo.start({ transport, grains: GRAINS, log: 'silent' });
  await using client = await Client.connect({ transport, log: 'silent' });
  const source = client.grain('Source', 'mixed') as never as {
    count(to: number): Promise<unknown>;
    between(): AsyncIterable<unknown>;
  };
  const refused = (text: RegExp) => ({ code: 'METHOD_NOT_FOUND', message: expect.stringMatching(text) });
  expect(await failure(source.count(3))).toMatchObject(refused(/for await/));
  expect(await failure(all(source.between()))).toMatchObject(refused(/await it/));
});
