import { memory, StoreError } from 'granary';
import { RecordingReceiver } from 'granary/testing';
import { describe, expect, test } from 'vitest';
import type { GrainStore } from '../../framework/storage/grain-store.ts';
import { sleep } from '../../framework/system/clock.ts';
import type { WorldEvent } from '../../framework/testing/invariants/observation.ts';
import { Engine } from '../../framework/testing/simulation/engine.ts';
import { Host } from '../../framework/testing/simulation/host.ts';
import { SimulatedNetwork } from '../../framework/testing/simulation/network.ts';
import { SimulatedStore, StoreSite } from '../../framework/testing/simulation/store.ts';
import type { Endpoint } from '../../framework/transport/transport.ts';

interface Node {
  readonly host: Host;
  readonly endpoint: Endpoint;
  readonly receiver: RecordingReceiver;
}

const text = (payload: Uint8Array) => Buffer.from(payload).toString();
const texts = ({ receiver }: Node) => receiver.texts('data');

/** Two hosts on a network, a third one that a store is on, and virtual time. */
class Machines {
  readonly engine: Engine;
  readonly network: SimulatedNetwork;
  readonly site: StoreSite;
  readonly told: WorldEvent[] = [];
  readonly #bystander: Host;

  constructor(seed: number) {
    this.engine = new Engine(seed);
    this.network = new SimulatedNetwork(this.engine, 1_000);
    this.site = new StoreSite(this.host('store'), this.network, (_, event) => this.told.push(event));
    this.#bystander = this.host('bystander');
  }

  host(name: string): Host {
    return new Host(this.engine, name, name.charCodeAt(0));
  }

  async node(name: string): Promise<Node> {
    const [host, receiver] = [this.host(name), new RecordingReceiver()];
    const transport = this.network.at(host);
    return {
      host,
      receiver,
      endpoint: await transport.open({ cluster: 'c', address: `${name}~1`, receiver }),
    };
  }

  sleep(ms: number): Promise<void> {
    return sleep(this.#bystander.clock, ms);
  }

  send(from: Node, to: Node, what: string): void {
    from.endpoint.send('data', `${to.host.name}~1`, Buffer.from(what), 7);
  }

  conditions(conditions: Partial<SimulatedNetwork['conditions']>): void {
    this.network.conditions = { ...this.network.conditions, ...conditions };
  }
}

async function machines(act: (machines: Machines, a: Node, b: Node) => Promise<void>, seed = 1) {
  const all = new Machines(seed);
  let over = false;
  const acting = async () => act(all, await all.node('a'), await all.node('b'));
  acting().then(
    () => {
      over = true;
    },
    (error) => all.engine.fail(error),
  );
  await all.engine.drive(() => over);
}

describe('messages', () => {
  const numbers = Array.from({ length: 1_000 }, (_, i) => String(i));

  async function sentUnder(conditions: Partial<SimulatedNetwork['conditions']>, seed = 1): Promise<string[]> {
    let arrived: string[] = [];
    await machines(async (all, a, b) => {
      all.conditions(conditions);
      for (const number of numbers) {
        all.send(a, b, number);
        await all.sleep(1);
      }
      await all.sleep(10_000);
      arrived = texts(b);
    }, seed);
    return arrived;
  }

  test('arrive in the order sent, each once, however long each of them takes', async () => {
    expect(await sentUnder({ jitterMs: 50 })).toEqual(numbers);
  });

  test('are overtaken where the network reorders, but arrive', async () => {
    const arrived = await sentUnder({ reordering: 0.2 });
    expect(arrived).not.toEqual(numbers);
    expect(arrived.toSorted((a, b) => Number(a) - Number(b))).toEqual(numbers);
  });

  test('arrive twice where the network duplicates', async () => {
    const arrived = await sentUnder({ duplication: 0.2 });
    expect(new Set(arrived)).toEqual(new Set(numbers));
    expect(arrived.length / numbers.length).toBeCloseTo(1.2, 1);
  });

  test('get lost where the network loses some', async () => {
    const arrived = await sentUnder({ loss: 0.2 });
    expect(new Set(arrived).size).toBe(arrived.length);
    expect(arrived.length / numbers.length).toBeCloseTo(0.8, 1);
    expect(arrived).not.toEqual(await sentUnder({ loss: 0.2 }, 2));
  });

  test('take as long as the network says, drawn for each from the seed', async () => {
    const took = async (seed: number) => {
      const times: number[] = [];
      await machines(async (all, a, b) => {
        all.conditions({ latencyMs: 5, jitterMs: 3 });
        let sentAt = 0;
        b.receiver.received = () => times.push(all.engine.now - sentAt);
        for (let i = 0; i < 500; i++) {
          sentAt = all.engine.now;
          all.send(a, b, 'x');
          await all.sleep(100);
        }
      }, seed);
      return times;
    };
    const times = await took(1);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(5);
    expect(times.reduce((sum, ms) => sum + ms) / times.length / 8).toBeCloseTo(1, 0.5);
    expect(new Set(times).size).toBe(times.length);
    expect(await took(1)).toEqual(times);
    expect(await took(2)).not.toEqual(times);
  });

  test('do not pass a cut in the direction of the cut; those on their way are lost too', async () => {
    await machines(async (all, a, b) => {
      all.send(a, b, 'on its way');
      all.network.cut('a', 'b');
      all.send(a, b, 'never');
      all.send(b, a, 'the other way');
      await all.sleep(100);
      expect([texts(a), texts(b)]).toEqual([['the other way'], []]);
      all.network.heal();
      all.send(a, b, 'healed');
      await all.sleep(100);
      expect(texts(b)).toEqual(['healed']);
      expect(a.receiver.returned).toEqual([]);
    });
  });

  test('bounce at a cut that the servers know of', async () => {
    await machines(async (all, a, b) => {
      all.network.cut('a', 'b', 'refused');
      all.send(a, b, 'never');
      await all.sleep(100);
      expect(a.receiver.returned).toEqual([{ lane: 'data', to: 'b~1', ticket: 7 }]);
      expect(texts(b)).toEqual([]);
    });
  });
});

describe('time', () => {
  test('that has nothing to go on to ends the run', async () => {
    const endless = machines(() => new Promise(() => {}));
    await expect(endless).rejects.toThrow('nothing is left to happen');
  });

  test('that stands still, since somebody polls without waiting, ends the run', async () => {
    const endless = machines(async (_, { host }) => {
      const poll = () => void host.soon(poll);
      poll();
      await new Promise(() => {});
    });
    await expect(endless).rejects.toThrow(/time stands still: 1000000 things happened at [\d.]+ ms/);
  });
});

describe('a host', () => {
  test('that is paused gets messages and timers when it goes on, all at once, as planned', async () => {
    await machines(async (all, a, b) => {
      const seen: string[] = [];
      b.receiver.received = (_, payload) => seen.push(`${text(payload)} at ${Math.floor(all.engine.now)}`);
      b.host.timer(30, () => seen.push(`timer at ${Math.floor(all.engine.now)}`));
      b.host.pause();
      await all.sleep(10);
      all.send(a, b, 'early');
      await all.sleep(50);
      all.send(a, b, 'late');
      await all.sleep(1_000);
      expect(seen).toEqual([]);
      b.host.resume();
      const now = Math.floor(all.engine.now);
      await all.sleep(10);
      expect(seen).toEqual([`timer at ${now}`, `early at ${now}`, `late at ${now}`]);
    });
  });

  test('whose process has ended does nothing any more, and what is sent to it bounces', async () => {
    await machines(async (all, a, b) => {
      b.host.timer(10, () => expect.unreachable());
      all.send(a, b, 'on its way');
      b.host.die();
      all.network.lose(b.host);
      all.send(a, b, 'too late');
      all.send(b, a, 'from the dead');
      await all.sleep(1_000);
      expect([texts(a), texts(b)]).toEqual([[], []]);
      expect(a.receiver.returned).toEqual([{ lane: 'data', to: 'b~1', ticket: 7 }]);
    });
  });

  test('that is gone with its machine is not heard of', async () => {
    await machines(async (all, a, b) => {
      b.host.silent = true;
      b.host.die();
      all.network.lose(b.host);
      all.send(a, b, 'hello?');
      await all.sleep(1_000);
      expect(texts(b)).toEqual([]);
      expect(a.receiver.returned).toEqual([]);
    });
  });

  test('that loses its connection knows it; what it sends bounces, what is sent to it is lost', async () => {
    await machines(async (all, a, b) => {
      all.send(a, b, 'on its way');
      all.network.disconnect(b.host);
      expect(b.endpoint.connected).toBe(false);
      all.send(b, a, 'comes back');
      all.send(a, b, 'is lost');
      await all.sleep(100);
      expect(b.receiver.connections).toEqual([false]);
      expect(b.receiver.returned).toHaveLength(1);
      expect([texts(a), texts(b)]).toEqual([[], []]);
      all.network.reconnect(b.host);
      await all.sleep(100);
      all.send(a, b, 'again');
      await all.sleep(100);
      expect(b.receiver.connections).toEqual([false, true]);
      expect(texts(b)).toEqual(['again']);
    });
  });

  test('that is slow does one thing after the other', async () => {
    await machines(async (all, a, b) => {
      const times: number[] = [];
      b.receiver.received = () => times.push(all.engine.now);
      b.host.costMs = 10;
      for (let i = 0; i < 4; i++) all.send(a, b, 'x');
      await all.sleep(100);
      const gaps = times.slice(1).map((at, i) => Math.round(at - (times[i] as number)));
      expect(gaps).toEqual([10, 10, 10]);
    });
  });

  test('has clocks of its own: they begin anywhere, and only the wall clock jumps', async () => {
    await machines(async (all, a, b) => {
      expect(a.host.clock.now()).not.toBe(b.host.clock.now());
      const [steady, wall] = [a.host.clock.now(), a.host.clock.wallNow()];
      a.host.wallErrorMs = -5_000;
      await all.sleep(1_000);
      expect(a.host.clock.now() - steady).toBeCloseTo(1_000, -1);
      expect(a.host.clock.wallNow() - wall).toBeCloseTo(-4_000, -1);
    });
  });

  test('runs its timers in whole milliseconds, those of one time in order, never too early', async () => {
    await machines(async (all, a) => {
      const seen: string[] = [];
      const start = all.engine.now;
      const at = () => Math.floor(all.engine.now - start);
      for (const [name, delayMs] of [
        ['second', 7.2],
        ['third', 7.4],
        ['first', 3],
        ['none', 0],
      ] as const) {
        a.host.timer(delayMs, () => seen.push(`${name} ${all.engine.now - start >= delayMs}`));
      }
      await all.sleep(20);
      expect(seen).toEqual(['none true', 'first true', 'second true', 'third true']);
      expect(at()).toBeGreaterThanOrEqual(20);
    });
  });
});

describe('a store', () => {
  const id = { type: 'Counter', key: 'x', name: 'state' };
  const data = Buffer.from('data');
  const elsewhere = (all: Machines, inner: GrainStore) =>
    new SimulatedStore(all.site, all.host('other'), inner);

  test('carries out a write whose silo has crashed meanwhile, and answers nobody', async () => {
    await machines(async (all, a) => {
      const inner = memory();
      let answered = false;
      const written = () => {
        answered = true;
      };
      new SimulatedStore(all.site, a.host, inner).write(id, data, undefined).then(written, written);
      a.host.die();
      await all.sleep(10_000);
      expect(answered).toBe(false);
      expect(text((await inner.read(id))?.data ?? data.subarray(0, 0))).toBe('data');
      expect(all.told).toMatchObject([{ type: 'recordApplied', grain: 'Counter/x', before: undefined }]);
    });
  });

  test.each([
    ['refuses', { errors: 1 }, 'the store refused', false, 50],
    ['breaks after the write', { errorsAfterWrite: 1 }, 'the connection to the store broke', true, 50],
    ['loses its answer', { lostAnswers: 1 }, 'the store did not answer', true, 4_000],
  ])('that %s says so', async (_, conditions, message, applied, withinMs) => {
    await machines(async (all, a) => {
      const inner = memory();
      all.site.conditions = { ...all.site.conditions, ...conditions };
      const start = all.engine.now;
      const write = new SimulatedStore(all.site, a.host, inner).write(id, data, undefined);
      await expect(write).rejects.toThrow(StoreError);
      await expect(write).rejects.toThrow(message);
      expect(all.engine.now - start).toBeLessThan(withinMs);
      expect((await inner.read(id)) !== undefined).toBe(applied);
    });
  });

  test.each([
    ['to', ['a', 'store'], false],
    ['from', ['store', 'a'], true],
  ] as const)('does not answer when the way %s it is cut', async (_, [from, to], applied) => {
    await machines(async (all, a) => {
      const inner = memory();
      all.network.cut(from, to);
      const write = new SimulatedStore(all.site, a.host, inner).write(id, data, undefined);
      await expect(write).rejects.toThrow('the store did not answer');
      expect((await elsewhere(all, inner).read(id)) !== undefined).toBe(applied);
    });
  });

  test('with I/O of its own stops virtual time until it has answered', async () => {
    await machines(async (all, a) => {
      const inner = memory();
      const real: GrainStore = {
        open: () => inner.open(),
        write: (...args) => inner.write(...args),
        clear: (...args) => inner.clear(...args),
        close: () => inner.close(),
        read: async (asked) => {
          await new Promise((resolve) => setTimeout(resolve, 30));
          return inner.read(asked);
        },
      };
      const start = performance.now();
      const [before, store] = [all.engine.now, new SimulatedStore(all.site, a.host, real)];
      expect(await store.read(id)).toBeUndefined();
      expect(performance.now() - start).toBeGreaterThanOrEqual(28);
      expect(all.engine.now - before).toBeLessThan(20);
    });
  });
});
