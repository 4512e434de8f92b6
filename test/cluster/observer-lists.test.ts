import {
  type Client,
  Grain,
  type GrainRef,
  grain,
  InvalidConfigError,
  LIMITS,
  memory,
  method,
  type Notified,
  type NotifyOptions,
  type ObserverRef,
  Observers,
  state,
} from 'granary';
import { TestCluster } from 'granary/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failure } from '../support/places.ts';

interface Reader {
  heard(text: string): unknown;
}

/** What a notification led to, as the grain tells it. */
interface Told {
  readonly reached: number;
  readonly dropped: number;
  readonly errors: readonly string[];
  readonly size: number;
}

@grain()
class Radio extends Grain {
  @state() readers = new Observers<Reader>();

  @method()
  async join(reader: ObserverRef<Reader>): Promise<number> {
    this.readers.add(reader);
    await this.save();
    return this.readers.size;
  }

  @method()
  async leave(reader: ObserverRef<Reader>): Promise<boolean> {
    return this.readers.has(reader) && this.readers.delete(reader);
  }

  @method()
  async ids(): Promise<string[]> {
    return [...this.readers].map(({ $id }) => $id);
  }

  @method()
  async say(text: string, options: NotifyOptions = {}): Promise<Told> {
    const told = await this.readers.notify((reader) => reader.heard(text), options);
    if (told.dropped > 0) await this.save();
    return this.#told(told);
  }

  @method()
  async mumble(): Promise<void> {
    await this.readers.notify(() => {
      throw new RangeError('nothing to say');
    });
  }

  @method()
  async end(): Promise<void> {
    this.context.deactivate();
  }

  #told({ reached, dropped, failures }: Notified<Reader>): Told {
    const errors = failures.map(({ error }) => (error as { code?: string }).code ?? String(error));
    return { reached, dropped, errors, size: this.readers.size };
  }
}

class Ears implements Reader {
  readonly texts: string[] = [];
  heard(text: string): void {
    this.texts.push(text);
  }
}

/** Until the wall clock, by which observers are judged, is so much later. */
async function pass(ms: number): Promise<void> {
  const until = Date.now() + ms;
  await expect.poll(() => Date.now(), { interval: 5 }).toBeGreaterThan(until);
}

let cluster: TestCluster;
let lastKey = 0;
const radio = (): GrainRef<Radio> => cluster.grain(Radio, `radio-${++lastKey}`);
const told = (reached: number, rest: Partial<Told> = {}): Told => ({
  ...{ reached, dropped: 0, errors: [], size: reached },
  ...rest,
});

beforeAll(async () => {
  cluster = await TestCluster.start({ grains: [Radio], silos: ['a', 'b'], stores: { default: memory() } });
});
afterAll(() => cluster[Symbol.asyncDispose]());

describe('the observers of a grain', () => {
  test('are all told, and a grain that joins twice is told once', async () => {
    const one = radio();
    const ears = [new Ears(), new Ears(), new Ears()];
    const refs = ears.map((each) => cluster.client.observe<Reader>(each));
    for (const ref of refs) await one.join(ref);
    expect(await one.join(refs[0] as ObserverRef<Reader>)).toBe(3);
    expect(await one.say('hello')).toEqual(told(3));
    expect(ears.map(({ texts }) => texts)).toEqual([['hello'], ['hello'], ['hello']]);
    expect(await one.ids()).toEqual(refs.map(({ $id }) => $id));
    expect(await one.leave(refs[1] as ObserverRef<Reader>)).toBe(true);
    expect(await one.leave(refs[1] as ObserverRef<Reader>)).toBe(false);
    expect(await one.say('again')).toEqual(told(2));
  });

  test('are saved with the state: the next activation, after a crash of the silo, tells them', async () => {
    const one = radio();
    const ears = new Ears();
    await one.join(cluster.client.observe<Reader>(ears));
    const [{ silo } = { silo: '' }] = cluster.activationsOf(Radio, `radio-${lastKey}`);
    cluster.crash(silo);
    await cluster.start(silo);
    expect(await one.$with({ timeoutMs: 20_000 }).say('still here?')).toEqual(told(1));
    expect(ears.texts).toEqual(['still here?']);
  });

  test('are forgotten when they are unobserved, and when their client has closed', async () => {
    const one = radio();
    const client = await cluster.connect('closing');
    const [left, gone, stays] = [
      cluster.client.observe<Reader>(new Ears()),
      client.observe<Reader>(new Ears()),
      cluster.client.observe<Reader>(new Ears()),
    ];
    for (const ref of [left, gone, stays]) await one.join(ref);
    cluster.client.unobserve(left);
    await client.close();
    expect(await one.say('1', { unreachableMs: 0 })).toEqual(
      told(1, { dropped: 2, errors: ['OBSERVER_GONE', 'OBSERVER_GONE'] }),
    );
    await one.end();
    expect(await one.ids()).toEqual([stays.$id]);
  });

  test('stay for a while when nobody listens where they are: a client may come back', async () => {
    const one = radio();
    const client: Client = await cluster.connect('away');
    const ears = new Ears();
    await one.join(client.observe<Reader>(ears));
    cluster.network.disconnect(client.address);
    expect(await one.say('1')).toEqual(told(0, { errors: ['OBSERVER_GONE'], size: 1 }));
    cluster.network.reconnect(client.address);
    expect(await one.say('2')).toEqual(told(1));
    await pass(60);
    cluster.network.disconnect(client.address);
    // What was counted before it came back does not count any more.
    expect(await one.say('3', { unreachableMs: 50 })).toMatchObject({ dropped: 0 });
    await expect.poll(() => one.say('4', { unreachableMs: 50 })).toMatchObject({ dropped: 1, size: 0 });
    expect(ears.texts).toEqual(['2']);
    await client.close();
  });

  test('that say nothing are waited for until the deadline only, and dropped after some tries', async () => {
    const one = radio();
    const ears = new Ears();
    await one.join(cluster.client.observe<Reader>({ heard: () => new Promise(() => {}) }));
    await one.join(cluster.client.observe<Reader>(ears));
    const terms = { deadlineMs: 40, tries: 2 };
    const start = performance.now();
    expect(await one.say('1', terms)).toEqual(told(1, { errors: ['CALL_TIMEOUT'], size: 2 }));
    expect(performance.now() - start).toBeLessThan(1_000);
    expect(await one.say('2', terms)).toEqual(told(1, { dropped: 1, errors: ['CALL_TIMEOUT'] }));
    expect(await one.say('3', terms)).toEqual(told(1));
    expect(ears.texts).toEqual(['1', '2', '3']);
  });

  test('are not blamed when it is the turn that ran out of time', async () => {
    const one = radio();
    let answer: ((value: unknown) => void) | undefined;
    const slow = new Promise((resolve) => {
      answer = resolve;
    });
    await one.join(cluster.client.observe<Reader>({ heard: () => slow }));
    // Its answer, of what it could not wait for, may come just before the caller gives up.
    await one
      .$with({ timeoutMs: 60 })
      .say('1', { deadlineMs: 5_000, tries: 1 })
      .catch((error) => expect(error).toMatchObject({ code: 'CALL_TIMEOUT' }));
    expect(await one.ids()).toHaveLength(1);
    answer?.(undefined);
    expect(await one.say('2')).toMatchObject({ dropped: 0 });
  });

  test('that throw are there: they stay, and the grain learns what they threw', async () => {
    const one = radio();
    const reader = { heard: () => Promise.reject(new TypeError('deaf')) };
    await one.join(cluster.client.observe<Reader>(reader));
    const terms = { tries: 1, unreachableMs: 0 };
    for (let i = 0; i < 3; i++) {
      expect(await one.say('?', terms)).toEqual(told(0, { errors: ['TypeError: deaf'], size: 1 }));
    }
  });

  test('expire, unless they are added again', async () => {
    const one = radio();
    const [fresh, old] = [0, 1].map(() => cluster.client.observe<Reader>(new Ears()));
    await one.join(fresh as ObserverRef<Reader>);
    await one.join(old as ObserverRef<Reader>);
    expect(await one.say('1', { expiresMs: 60_000 })).toEqual(told(2));
    await pass(100);
    await one.join(fresh as ObserverRef<Reader>);
    expect(await one.say('2', { expiresMs: 100 })).toEqual(told(1, { dropped: 1 }));
    expect(await one.ids()).toEqual([fresh?.$id]);
  });

  test('may be grains as well', async () => {
    @grain()
    class Listener extends Grain {
      @method()
      async heard(text: string): Promise<string> {
        return text;
      }
    }
    await using own = await TestCluster.start({ grains: [Radio, Listener], silos: ['x'] });
    const one = own.grain(Radio, 'r');
    await one.join(own.grain(Listener, 'l') as unknown as ObserverRef<Reader>);
    expect(await one.say('grain')).toEqual(told(1));
  });

  test('are not guilty of what the grain does wrong', async () => {
    const one = radio();
    await one.join(cluster.client.observe<Reader>(new Ears()));
    expect(await failure(one.mumble())).toMatchObject({ name: 'RangeError', message: 'nothing to say' });
    for (const options of [{ deadlineMs: 0 }, { tries: 0.5 }, { unreachableMs: -1 }, { expires: 1 }]) {
      expect(await failure(one.say('x', options as NotifyOptions))).toBeInstanceOf(InvalidConfigError);
    }
    for (const none of [{ heard: () => {} }, undefined, 'Radio/1']) {
      const add = () => new Observers<Reader>().add(none as unknown as ObserverRef<Reader>);
      expect(add).toThrow('give the reference that observe() returned');
    }
    expect(await one.say('x')).toEqual(told(1));
  });

  test('are at most so many', () => {
    const observers = new Observers<Reader>();
    const reader = (n: number) => cluster.grain<Radio>('Radio', n) as unknown as ObserverRef<Reader>;
    for (let n = 0; n < LIMITS.observers; n++) observers.add(reader(n));
    expect(() => observers.add(reader(-1))).toThrow(expect.objectContaining({ code: 'OVERLOADED' }));
    expect(() => observers.add(reader(0))).not.toThrow();
  });
});
