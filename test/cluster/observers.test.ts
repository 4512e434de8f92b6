import {
  Client,
  Grain,
  type GrainRef,
  grain,
  InvalidConfigError,
  LIMITS,
  method,
  ObserverGoneError,
  type ObserverRef,
  Observers,
  state,
} from 'granary';
import { TestCluster } from 'granary/testing';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { failure } from '../support/places.ts';

interface Watcher {
  moved(x: number, y: number): unknown;
}

@grain()
class Ship extends Grain {
  @state() watchers = new Observers<Watcher>();
  @state() last: ObserverRef<Watcher> | undefined;

  @method()
  async keep(watcher: ObserverRef<Watcher>): Promise<void> {
    this.last = watcher;
    await this.save();
  }

  @method()
  async tell(x: number, y: number): Promise<unknown> {
    return this.last?.moved(x, y);
  }

  @method()
  async tellOneWay(x: number, y: number): Promise<void> {
    await this.last?.$with({ oneWay: true }).moved(x, y);
  }

  @method()
  async callBack(watcher: ObserverRef<Watcher>, name: string): Promise<unknown> {
    return (watcher as unknown as Record<string, () => Promise<unknown>>)[name]?.();
  }

  @method()
  async flood(times: number): Promise<string[]> {
    const calls = Array.from({ length: times }, (_, i) => codeOf(this.last?.moved(i, 0) as Promise<unknown>));
    return [...new Set(await Promise.all(calls))].map(String);
  }

  @method()
  async end(): Promise<void> {
    this.context.deactivate();
  }

  @method()
  async name(): Promise<string> {
    return this.key;
  }
}

/** What a call failed with; undefined when it did not. */
async function codeOf(call: Promise<unknown>): Promise<string | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

/** An object that notes what it is told, and answers with the sum. */
class Notes implements Watcher {
  readonly heard: string[] = [];
  moved(x: number, y: number): unknown {
    this.heard.push(`${x},${y}`);
    return x + y;
  }
}

/** Something to wait for, and its key. */
function gate<T = void>(): { readonly opened: Promise<T>; open(value: T): void } {
  let open: (value: T) => void = () => {};
  const opened = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { opened, open: (value) => open(value) };
}

const silos = ['a', 'b', 'c'];
let cluster: TestCluster;
let lastKey = 0;
/** A grain that nobody has used. */
const ship = () => cluster.grain(Ship, `ship-${++lastKey}`);

/** One more client of the cluster. */
function connect(onEvent = vi.fn()): Promise<Client> {
  return Client.connect({
    cluster: 'observers',
    transport: cluster.network,
    callTimeoutMs: 5_000,
    log: 'silent',
    onEvent,
  });
}

beforeAll(async () => {
  cluster = await TestCluster.start({ grains: [Ship], silos, options: { cluster: 'observers' } });
});
afterAll(() => cluster[Symbol.asyncDispose]());

describe('an observer', () => {
  test('is called by a grain, on any silo, that got its reference in a call', async () => {
    const notes = new Notes();
    using watcher = cluster.client.observe<Watcher>(notes);
    for (const key of ['1', '2', '3', '4', '5', '6', '7', '8']) {
      const one = cluster.grain(Ship, `any-${key}`);
      await one.keep(watcher);
      expect(await one.tell(Number(key), 1)).toBe(Number(key) + 1);
    }
    expect(notes.heard).toHaveLength(8);
    const used = ['1', '2', '3', '4', '5', '6', '7', '8'].flatMap((key) =>
      cluster.activationsOf(Ship, `any-${key}`).map(({ silo }) => silo),
    );
    expect(new Set(used)).toEqual(new Set(silos));
  });

  test('has a reference that names its client, and can be passed on', async () => {
    await using client = await connect();
    const watcher = client.observe<Watcher>(new Notes());
    expect(watcher.$id).toMatch(new RegExp(`^\\$observer/${client.address}/\\d+$`));
    expect(String(watcher)).toContain(watcher.$id);
    const one = ship();
    await one.keep(watcher);
    expect(await one.tell(1, 2)).toBe(3);
    // The other client calls it too: it does not matter who has the reference.
    const passed = cluster.client.grain<Ship>('$observer', watcher.$id.split('/').slice(1)) as never;
    expect(await (passed as ObserverRef<Watcher>).moved(3, 4)).toBe(7);
  });

  test.each(['a', 'b'])('may be an object of the program that a silo is in (%s)', async (name) => {
    const notes = new Notes();
    using watcher = cluster.silo(name).observe<Watcher>(notes);
    for (let i = 0; i < 6; i++) {
      const one = ship();
      await one.keep(watcher);
      expect(await one.tell(i, 1)).toBe(i + 1);
      await one.tellOneWay(i, 2);
    }
    await vi.waitFor(() => expect(notes.heard).toHaveLength(12));
  });

  test('is kept in state, and called by the next activation', async () => {
    using watcher = cluster.client.observe<Watcher>(new Notes());
    const one = ship();
    await one.keep(watcher);
    await one.end();
    expect(await one.tell(2, 2)).toBe(4);
  });

  test('gets copies, and references that it can call', async () => {
    const given: unknown[] = [];
    using watcher = cluster.client.observe({
      async take(value: { ref: GrainRef<Ship> }) {
        given.push(value);
        return value.ref.name();
      },
    });
    const one = cluster.silo('a').grain(Ship, 'copied');
    const value = { ref: one };
    const silo = cluster.silo('a').grain('$observer', watcher.$id.split('/').slice(1));
    const call = (silo as never as Record<string, (value: unknown) => Promise<unknown>>).take;
    expect(await call?.call(silo, value)).toBe('copied');
    expect(given[0]).not.toBe(value);
  });

  test('may throw: the grain gets the error, and so does its caller', async () => {
    class Failed extends Error {
      readonly code = 42;
    }
    using watcher = cluster.client.observe<Watcher>({
      moved: () => Promise.reject(new Failed('no')),
    });
    const one = ship();
    await one.keep(watcher);
    expect(await failure(one.tell(0, 0))).toMatchObject({ name: 'Failed', message: 'no', code: 42 });
  });

  test('takes its calls one at a time, in the order sent', async () => {
    const order: string[] = [];
    using watcher = cluster.client.observe<Watcher>({
      async moved(x) {
        order.push(`begin ${x}`);
        await Promise.resolve();
        await new Promise(setImmediate);
        order.push(`end ${x}`);
      },
    });
    const one = ship();
    await one.keep(watcher);
    expect(await one.flood(20)).toEqual(['undefined']);
    const expected = Array.from({ length: 20 }, (_, i) => [`begin ${i}`, `end ${i}`]);
    expect(order).toEqual(expected.flat());
  });

  test('refuses what is too much for it, and serves the rest', async () => {
    const first = gate();
    using watcher = cluster.client.observe<Watcher>({ moved: (x) => (x === 0 ? first.opened : undefined) });
    const one = ship();
    await one.keep(watcher);
    const refused = new Promise((resolve) => {
      const stop = cluster.subscribe((_silo, event) => {
        if (event.type !== 'callSettled' || event.grain !== watcher.$id || !event.error) return;
        stop();
        resolve(event.error);
      });
    });
    const flood = one.flood(LIMITS.observerCalls + 50);
    expect(await refused).toMatchObject({ code: 'OVERLOADED', grain: watcher.$id });
    first.open();
    expect((await flood).sort()).toEqual(['OVERLOADED', 'undefined']);
    expect(await one.tell(1, 1)).toBeUndefined();
  });

  test('may call the grain that is calling it, which answers when its turn is over', async () => {
    const one = ship();
    const answers: Promise<string>[] = [];
    using watcher = cluster.client.observe<Watcher>({
      moved: () => {
        answers.push(one.name());
      },
    });
    await one.keep(watcher);
    await one.tell(0, 0);
    expect(await Promise.all(answers)).toEqual([expect.stringMatching(/^ship-/)]);
  });

  test('that awaits the grain which awaits it ends with the deadline', async () => {
    const one = ship();
    using watcher = cluster.client.observe<Watcher>({ moved: () => one.name() });
    await one.keep(watcher);
    expect(await codeOf(one.$with({ timeoutMs: 300 }).tell(0, 0))).toBe('CALL_TIMEOUT');
    expect(await one.name()).toMatch(/^ship-/);
  });

  test('does not run what nobody waits for any more', async () => {
    const [first, abort] = [gate(), new AbortController()];
    const notes = new Notes();
    using watcher = cluster.client.observe<Watcher>({
      moved: (x, y) => (x === 0 ? first.opened : notes.moved(x, y)),
    });
    const ref = watcher as ObserverRef<Watcher>;
    const running = ref.moved(0, 0);
    const late = ref.$with({ timeoutMs: 100 }).moved(1, 1);
    const cancelled = ref.$with({ signal: abort.signal }).moved(2, 2);
    const last = ref.moved(3, 3);
    expect(await codeOf(late)).toBe('CALL_TIMEOUT');
    abort.abort();
    expect(await codeOf(cancelled)).toBe('CALL_CANCELLED');
    // Goes the same way as the word of the cancelling, and behind it.
    using other = cluster.client.observe<Watcher>(new Notes());
    await other.moved(0, 0);
    first.open();
    expect([await running, await last]).toEqual([undefined, 6]);
    expect(notes.heard).toEqual(['3,3']);
  });

  test.each(['toString', 'constructor', 'hasOwnProperty', 'hidden', 'value', 'unknown'])(
    'has only the methods of its object and its classes: not %s',
    async (name) => {
      const object = {
        value: 1,
        get hidden(): () => void {
          throw new Error('an accessor was run');
        },
        moved: () => 1,
      };
      using watcher = cluster.client.observe(object);
      const error = await failure(ship().callBack(watcher as never, name));
      expect(error).toMatchObject({ code: 'METHOD_NOT_FOUND', grain: watcher.$id });
    },
  );

  test.each([undefined, null, 1, 'x', {}, { x: 1 }, () => {}])(
    'is an object with methods: %s is refused',
    async (object) => {
      expect(() => cluster.client.observe(object as object)).toThrow(InvalidConfigError);
    },
  );

  test('is no reference: that one can be called already', async () => {
    expect(() => cluster.client.observe(ship())).toThrow('it is a reference already');
  });

  test('keeps its name for itself: no grain type may have it', async () => {
    @grain({ name: '$observer' })
    class Impostor extends Grain {}
    await expect(TestCluster.start({ grains: [Impostor], silos: ['x'] })).rejects.toThrow(
      "'$observer' is what observers are called",
    );
  });
});

describe('an observer that is gone', () => {
  const told = (one: GrainRef<Ship>, oneWay = false) =>
    failure(oneWay ? one.tellOneWay(0, 0) : one.tell(0, 0));

  test('is a named error at once, when it was unobserved', async () => {
    const watcher = cluster.client.observe<Watcher>(new Notes());
    const one = ship();
    await one.keep(watcher);
    expect(cluster.client.unobserve(watcher)).toBe(true);
    expect(cluster.client.unobserve(watcher)).toBe(false);
    const error = await told(one);
    expect(error).toBeInstanceOf(ObserverGoneError);
    expect(error).toMatchObject({ code: 'OBSERVER_GONE', reason: 'unobserved', retryable: false });
    expect(error.grain).toBe(watcher.$id);
  });

  test('is one when its block has ended, and calls that waited get it too', async () => {
    const [begun, first, one] = [gate(), gate(), ship()];
    let all: Promise<unknown[]>;
    {
      using watcher = cluster.client.observe<Watcher>({
        moved: (x) => {
          begun.open();
          return x === 0 ? first.opened : x;
        },
      });
      await one.keep(watcher);
      const ref = watcher as ObserverRef<Watcher>;
      all = Promise.all([ref.moved(0, 0), codeOf(ref.moved(1, 0)), codeOf(ref.moved(2, 0))]);
      await begun.opened;
    }
    expect(await told(one)).toMatchObject({ code: 'OBSERVER_GONE' });
    first.open();
    expect(await all).toEqual([undefined, 'OBSERVER_GONE', 'OBSERVER_GONE']);
  });

  test('is one when its client has closed, also for the calls that it had', async () => {
    const client = await connect();
    const [begun, never, one] = [gate(), gate(), ship()];
    await one.keep(
      client.observe<Watcher>({
        moved: () => {
          begun.open();
          return never.opened;
        },
      }),
    );
    const [running, waiting] = [told(one), begun.opened];
    await waiting;
    await client.close();
    expect(await running).toMatchObject({ code: 'OBSERVER_GONE', reason: 'closed' });
    const start = performance.now();
    expect(await told(one)).toMatchObject({ code: 'OBSERVER_GONE', reason: 'unreachable' });
    expect(performance.now() - start).toBeLessThan(1_000);
    expect(() => client.observe(new Notes())).toThrow(InvalidConfigError);
  });

  test('is noticed within seconds when its program dies in the middle of a call', async () => {
    const client = await connect();
    const [begun, never, one] = [gate(), gate(), ship()];
    await one.keep(
      client.observe<Watcher>({
        moved: () => {
          begun.open();
          return never.opened;
        },
      }),
    );
    const running = told(one);
    await begun.opened;
    const start = performance.now();
    cluster.network.crash(client.address); // as by kill -9
    expect(await running).toMatchObject({ code: 'OBSERVER_GONE', reason: 'unreachable' });
    expect(performance.now() - start).toBeLessThan(4_000);
    await client.close();
  });

  test('tells a one-way caller nothing, but the events', async () => {
    const events: string[] = [];
    const stop = cluster.client.subscribe(({ type }) => events.push(type), ['oneWayFailed']);
    const watcher = cluster.client.observe<Watcher>(new Notes());
    const one = ship();
    await one.keep(watcher);
    cluster.client.unobserve(watcher);
    await one.tellOneWay(0, 0);
    await vi.waitFor(() => expect(events).toEqual(['oneWayFailed']));
    stop();
  });

  test('is one, too, when the id names nobody', async () => {
    const nobody = cluster.client.grain<Ship>('$observer', 'nobody');
    expect(await codeOf(nobody.name())).toBe('OBSERVER_GONE');
    const silent = cluster.silo('a').grain<Ship>('$observer', ['nobody~1', 1]);
    expect(await codeOf(silent.name())).toBe('OBSERVER_GONE');
  });
});
