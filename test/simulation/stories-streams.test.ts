import { Grain, grain, LIMITS, method } from 'granary';
import { type SimulatedCluster, simulate } from 'granary/testing';
import { expect, test } from 'vitest';
import { seeds } from '../support/seeds.ts';
import { codeOf } from './accounts.ts';

/** The longest that either end of a stream can be without a word before it gives up, in milliseconds. */
const PATIENCE_MS = LIMITS.streamTickMs * (LIMITS.streamSilentTicks + 3);

/** Producers that have not run their `finally`. */
let open = 0;

@grain()
class Source extends Grain {
  @method()
  async *count(to: number): AsyncGenerator<number> {
    open++;
    try {
      for (let n = 0; n < to; n++) yield n;
    } finally {
      open--;
    }
  }

  /** Says something now and then. */
  @method({ interleave: true })
  async *quiet(to: number, gapMs: number): AsyncGenerator<number> {
    const { signal } = this.context;
    open++;
    try {
      for (let n = 0; n < to && !signal.aborted; n++) {
        await pause(gapMs, signal);
        if (!signal.aborted) yield n;
      }
    } finally {
      open--;
    }
  }

  @method()
  async *torn(after: number): AsyncGenerator<number> {
    for (let n = 0; n < after; n++) yield n;
    throw new RangeError('torn');
  }

  @method()
  async hold(ms: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ms));
  }

  @method()
  async end(): Promise<void> {
    this.context.deactivate();
  }

  @method()
  async ping(): Promise<void> {}
}

const grains = [Source];

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}

/** How a reader fared. */
interface Reading {
  readonly read: number;
  readonly error: unknown;
  /** How long it waited, at most, for one item or the end. */
  readonly longestMs: number;
}

/** Reads to the end, or the error. Throws when an item is missing, comes twice, or out of order. */
async function read(
  cluster: SimulatedCluster,
  stream: AsyncIterableIterator<number>,
  thinkMs = 0,
): Promise<Reading> {
  let count = 0;
  let longestMs = 0;
  for (;;) {
    const since = cluster.now;
    let next: IteratorResult<number>;
    try {
      next = await stream.next();
    } catch (error) {
      return { read: count, error, longestMs: Math.max(longestMs, cluster.now - since) };
    }
    longestMs = Math.max(longestMs, cluster.now - since);
    if (next.done) return { read: count, error: undefined, longestMs };
    if (next.value !== count++) throw new Error(`item ${next.value} came instead of ${count - 1}`);
    if (thinkMs > 0) await cluster.sleep(cluster.random.between(0, thinkMs));
  }
}

/** All items have come; or the reader was told, by name. */
function expectAllOr(code: string, { read, error }: Reading, to: number): void {
  if (error === undefined) expect(read).toBe(to);
  else expect(error).toMatchObject({ code });
}

/** A network that loses, repeats and overtakes. */
function drawBadNetwork(cluster: SimulatedCluster): void {
  const { random } = cluster;
  const [loss, duplication, reordering] = [1, 2, 3].map(() => random.between(0.1, 0.3)) as [
    number,
    number,
    number,
  ];
  cluster.setNetwork({ latencyMs: 1, jitterMs: random.between(0.2, 5), loss, duplication, reordering });
}

/** Every producer has run its `finally`, sooner or later. */
async function expectAllEnded(cluster: SimulatedCluster): Promise<void> {
  for (let ms = 0; open > 0 && ms <= PATIENCE_MS; ms += 1_000) await cluster.sleep(1_000);
  expect(open).toBe(0);
}

test.each(seeds(25))(
  'streams of any length have all items in order where messages are lost, repeated and overtaken (seed %i)',
  async (seed) => {
    open = 0;
    await simulate({ seed, silos: 1, grains }, async (cluster) => {
      const lengths = [0, 1, 5, 32, 33, 200];
      for (const to of lengths) await cluster.grain(Source, `${to}`).ping(); // it is known where they are
      drawBadNetwork(cluster);
      const readings = await Promise.all(
        lengths.map(async (to, i) => {
          await cluster.sleep(20 * i); // not all calls in one message
          return read(cluster, cluster.grain(Source, `${to}`).count(to), to === 33 ? 400 : 0);
        }),
      );
      for (const [i, reading] of readings.entries()) {
        // The call itself may be lost: then it is not known whether the stream has begun.
        if (reading.error !== undefined) expect(reading.read).toBe(0);
        expectAllOr('SILO_UNAVAILABLE', reading, lengths[i] as number);
        expect(reading.longestMs).toBeLessThan(30_000);
      }
      expect(readings.filter(({ error }) => error === undefined).length).toBeGreaterThan(1);
      await expectAllEnded(cluster);
    });
  },
);

test.each(seeds(10))(
  'an error of the producer comes after all items before it, whatever is lost (seed %i)',
  async (seed) => {
    open = 0;
    await simulate({ seed, silos: 1, grains }, async (cluster) => {
      const source = cluster.grain(Source, 'torn');
      await source.ping();
      const streams = Array.from({ length: 5 }, () => source.torn(40));
      drawBadNetwork(cluster);
      for (const { read: count, error } of await Promise.all(streams.map((each) => read(cluster, each)))) {
        if (count === 0) expect(error).toMatchObject({ code: 'SILO_UNAVAILABLE' });
        else expect([count, (error as Error).message]).toEqual([40, 'torn']);
      }
    });
  },
);

test.each(seeds(5))(
  'a stream that says something once an hour stays open, and its reader, too (seed %i)',
  async (seed) => {
    open = 0;
    await simulate({ seed, silos: 2, grains, maxMs: 24 * 3_600_000 }, async (cluster) => {
      const keys = ['a', 'b'];
      const readings = keys.map((key) => read(cluster, cluster.grain(Source, key).quiet(2, 3_600_000)));
      for (const { read: count, error } of await Promise.all(readings))
        expect([count, error]).toEqual([2, undefined]);
      await expectAllEnded(cluster);
    });
  },
);

test.each(seeds(10))(
  'a stream that is quiet for minutes stays open on a network that loses messages (seed %i)',
  async (seed) => {
    open = 0;
    await simulate({ seed, silos: 1, grains }, async (cluster) => {
      const source = cluster.grain(Source, 'quiet');
      const stream = source.quiet(4, 60_000);
      const first = stream.next();
      await cluster.sleep(10);
      drawBadNetwork(cluster);
      expect((await first).value).toBe(0);
      for (let n = 1; n < 4; n++) {
        const since = cluster.now;
        expect(await stream.next()).toEqual({ done: false, value: n });
        expect(cluster.now - since).toBeLessThan(60_000 + 20_000);
      }
      expect((await stream.next()).done).toBe(true);
    });
  },
);

test.each(seeds(5))('a reader that takes minutes over an item loses none (seed %i)', async (seed) => {
  open = 0;
  await simulate({ seed, silos: 1, grains }, async (cluster) => {
    const source = cluster.grain(Source, 'slow reader');
    await source.ping();
    const stream = source.count(50);
    expect((await stream.next()).value).toBe(0);
    drawBadNetwork(cluster);
    for (let n = 1; n < 50; n++) {
      if (n % 10 === 0) await cluster.sleep(180_000);
      expect(await stream.next()).toEqual({ done: false, value: n });
    }
    expect((await stream.next()).done).toBe(true);
    await expectAllEnded(cluster);
  });
});

test.each(seeds(5))('a stream that waits for its turn for minutes begins then (seed %i)', async (seed) => {
  open = 0;
  await simulate({ seed, silos: 1, grains }, async (cluster) => {
    const source = cluster.grain(Source, 'busy');
    const held = source.$with({ timeoutMs: 200_000 }).hold(120_000);
    await cluster.sleep(100);
    expect(await read(cluster, source.count(3))).toMatchObject({ read: 3, error: undefined });
    await held;
  });
});

test.each(seeds(10))(
  'a stream survives the loss of the NATS server for ten seconds, with all its items (seed %i)',
  async (seed) => {
    open = 0;
    await simulate({ seed, silos: 1, grains }, async (cluster) => {
      const source = cluster.grain(Source, 'outage');
      const reading = read(cluster, source.quiet(200, 100));
      await cluster.sleep(cluster.random.between(500, 3_000));
      cluster.disconnect();
      await cluster.sleep(10_000);
      cluster.reconnect();
      expect(await reading).toMatchObject({ read: 200, error: undefined });
    });
  },
);

test.each(seeds(8))(
  'a reader that went away without a word leaves no producer behind (seed %i)',
  async (seed) => {
    open = 0;
    await simulate({ seed, silos: ['a', 'b', 'c'], grains }, async (cluster) => {
      const sources = Array.from({ length: 6 }, (_, i) => cluster.silo('b').grain(Source, `${i}`));
      await Promise.all(sources.map((source) => source.ping()));
      for (const source of sources) {
        void source
          .count(1_000_000)
          .next()
          .catch(() => {});
        void source
          .quiet(1_000_000, 3_600_000)
          .next()
          .catch(() => {});
      }
      await cluster.sleep(500);
      expect(open).toBeGreaterThan(6);
      if (cluster.random.chance(0.5)) cluster.crash('b');
      else cluster.vanish('b');
      await cluster.settled();
      open = cluster.activationsOf(Source, 'none').length; // what was on the lost silo ended with it
      await expectAllEnded(cluster);
    });
  },
);

test.each(seeds(8))('a reader whose leaving was lost leaves no producer behind (seed %i)', async (seed) => {
  open = 0;
  await simulate({ seed, silos: 1, grains }, async (cluster) => {
    const source = cluster.grain(Source, 'left');
    const streams = [source.count(1_000_000), source.count(40), source.quiet(9, 3_600_000)];
    await streams[0]?.next();
    await streams[1]?.next();
    void streams[2]?.next();
    await cluster.sleep(100);
    expect(open).toBe(3);
    cluster.setNetwork({ loss: 1 });
    for (const stream of streams) await stream.return?.();
    await cluster.sleep(cluster.random.between(10, 1_000));
    expect(open).toBe(3);
    cluster.calm();
    await expectAllEnded(cluster);
  });
});

test.each(seeds(8))(
  'a reader hears within seconds when the silo of its producer is lost, or its activation ends (seed %i)',
  async (seed) => {
    open = 0;
    await simulate({ seed, silos: ['a', 'b', 'c'], grains }, async (cluster) => {
      const keys = Array.from({ length: 6 }, (_, i) => `${i}`);
      const lost = cluster.random.pick(['a', 'b', 'c']);
      const kept = lost === 'a' ? 'b' : 'a';
      const place = cluster.silo(kept);
      const readings = keys.flatMap((key) => [
        read(cluster, place.grain(Source, key).quiet(1_000, 5), 20),
        read(cluster, cluster.grain(Source, key).quiet(1_000, 5), 20),
      ]);
      await cluster.sleep(1_000);
      const ends = cluster.random.chance(0.5);
      if (ends) await Promise.all(keys.map((key) => cluster.grain(Source, key).end()));
      else cluster.vanish(lost);
      const since = cluster.now;
      const done = await Promise.all(readings);
      if (ends) expect(cluster.now - since).toBeLessThan(1_000);
      for (const reading of done) expectAllOr('SILO_UNAVAILABLE', reading, 1_000);
      expect(done.some(({ error }) => error !== undefined)).toBe(true);
    });
  },
);

test.each(seeds(20))(
  'in all troubles at once a reader gets its items in order or an error, and waits for neither (seed %i)',
  async (seed) => {
    open = 0;
    await simulate({ seed, silos: 3, grains, faults: 'swarm', maxMs: 1_800_000 }, async (cluster) => {
      const readers = Array.from({ length: 6 }, async (_, i) => {
        const random = cluster.random.fork(`reader ${i}`);
        while (cluster.now < 60_000) {
          const name = random.pick([...cluster.names, 'client']);
          const place = name === 'client' ? cluster : cluster.silo(name);
          const source = place.grain(Source, `${random.below(4)}`);
          if (random.chance(0.2)) await codeOf(source.end());
          const to = random.pick([1, 5, 40, 150]);
          const stream = random.chance(0.7) ? source.count(to) : source.quiet(to, 40);
          const reading = await read(cluster, stream, random.pick([0, 0, 30]));
          if (reading.error === undefined) expect(reading.read).toBe(to);
          expect(reading.longestMs).toBeLessThan(120_000);
          await cluster.sleep(random.between(0, 500));
        }
      });
      await Promise.all(readers);
    });
  },
);
