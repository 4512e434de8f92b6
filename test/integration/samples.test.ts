import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Client, type GrainStore, memory, type RecordId, type StoredRecord, StoreError } from 'granary';
import { nats } from 'granary/nats';
import { TestCluster } from 'granary/testing';
import { describe, expect, test, vi } from 'vitest';
import { Account } from '../../samples/bank/account.ts';
import { type Order, Transfer } from '../../samples/bank/transfer.ts';
import { type Message, Room } from '../../samples/chat/room.ts';
import { readSettings, VARIABLES } from '../../samples/silo/settings.ts';
import { startNats } from '../support/nats-server.ts';
import { freePort } from '../support/ports.ts';
import { startPostgres } from '../support/postgres.ts';
import { spawnNode } from '../support/processes.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const sample = (name: string, env: NodeJS.ProcessEnv = {}) =>
  spawnNode(`${ROOT}samples/${name}`, { cwd: ROOT, env });

async function outputOf(name: string): Promise<string[]> {
  await using program = sample(name);
  expect(await program.exited, program.output).toEqual({ code: 0, signal: null });
  return program.output.split('\n');
}

describe('the samples print what they promise', () => {
  test('hello', async () => {
    expect(await outputOf('hello.ts')).toEqual(['1']);
  });

  test('movement', async () => {
    expect(await outputOf('movement.ts')).toEqual([
      "moved: { silo: 'a', cards: [ 7 ] }",
      'drained: a has 0 grains, ada still has 7 and 11 true',
      'renders on: b',
    ]);
  });

  test('timers', async () => {
    expect(await outputOf('timers.ts')).toEqual([
      'ada bids 100: true',
      'bob bids 90: false',
      'bob bids 120: true',
      'sold to bob for 120',
      'ada bids 500: false',
    ]);
  });

  test('state-versions', async () => {
    expect(await outputOf('state-versions.ts')).toEqual([
      'first: ada has 1.5 euros',
      'second: ada has 3.5 euros, after 1 deposits here',
      'first again: ada has 4.5 euros',
      'second again: ada has 4.75 euros, after 2 deposits here',
      'third: ada has 500 cents, after 3 deposits',
      'first, too late: STATE_VERSION: 2 is stored, 1 is known',
    ]);
  });

  test('idempotency', async () => {
    const [without, withKeys] = await outputOf('idempotency.ts');
    expect(without).toMatch(/^100 orders, each made until it is answered: 1[1-9]\d tickets sold$/);
    expect(withKeys).toBe('the same with a key for each order: 100 tickets sold');
  });

  test('observers', async () => {
    expect(await outputOf('observers.ts')).toEqual([
      'ada sees it at the depot',
      'bob sees it at the depot',
      'ada sees it at the bridge',
      'bob sees it at the bridge',
      '2 told, 0 forgotten',
      'ada sees it at the door',
      '1 told, 1 forgotten',
    ]);
  });

  test('groups', async () => {
    const readings = (interval: number) => [
      `Sensor/1/1: every ${interval} s`,
      `Sensor/1/2: every ${interval} s`,
      'Sensor/1/3: Error: no current',
      `Sensor/1/4: every ${interval} s`,
    ];
    expect(await outputOf('groups.ts')).toEqual([
      ...readings(60),
      'in the south, too, 4 are known',
      '4 sensors told',
      ...readings(5),
    ]);
  });

  test('bank', async () => {
    expect(await outputOf('bank/main.ts')).toEqual([
      'rent: moved; ada has 30.00, bob has 70.00',
      'rent: moved; ada has 30.00, bob has 70.00',
      'car: refused; ada has 30.00, bob has 70.00',
      'gift: refused; ada has 30.00, bob has 70.00',
    ]);
  });

  test('reminders', async () => {
    expect(await outputOf('reminders.ts')).toEqual([
      'spring charges month 1',
      'summer charges month 2',
      'summer charges month 3',
      'every month was charged, once',
    ]);
  });

  test('topics', async () => {
    expect(await outputOf('topics.ts')).toEqual([
      '#1: 4 of tea, 6 left',
      '#2: 5 of tea, 1 left',
      '#4: 1 of tea, 0 left',
      'the watcher has seen 4',
      'put aside after 2 attempts: #3, only 1 of tea are left',
    ]);
  });

  test('find-a-race', async () => {
    const lines = await outputOf('find-a-race.ts');
    const causes = lines.slice(1, -1);
    expect(lines[0]).toMatch(/^seed \d+: guest \d+ has a ticket, and is not on the list$/);
    expect(causes.length).toBeGreaterThan(0);
    for (const cause of causes) expect(cause).toMatch(/^ {2}all it takes: crash at \d+ ms$/);
    expect(lines.at(-1)).toMatch(/^saved before anybody is told: 0 of \d+ seeds fail$/);
  });

  test('interceptors', async () => {
    expect(await outputOf('interceptors.ts')).toEqual([
      'audit: ada Order/acme/42.add: done',
      "[ 'tea' ]",
      'audit: ada Order/acme/42.list: done',
      'tea (for ada)',
      'audit: eve Order/acme/42.list: NotAllowedError',
      'true: Order/acme/42 is not an order of evil',
      'true: Order/acme/42.list: who are you?',
      "INVALID_ARGUMENTS [ 'args[0]', 'args[1]' ]",
      'the slowest call was timed',
    ]);
  });

  test('chat', async () => {
    const heard = await outputOf('chat/main.ts');
    expect(heard.filter((line) => line.startsWith('bob'))).toEqual([
      'bob hears #1 ada: is anybody here?',
      'bob hears #2 bob: I am',
      'bob hears #3 ada: goodbye',
    ]);
    expect(heard.filter((line) => line.startsWith('eve'))).toEqual([
      'eve hears #2 bob: I am',
      'eve hears #3 ada: goodbye',
    ]);
  });
});

/** Fails one write, counted from when it was armed: before it reaches the store, or only the news of it. */
class FailingStore implements GrainStore {
  readonly #store = memory();
  #countdown = 0;
  #when: 'before' | 'after' = 'before';

  arm(write: number, when: 'before' | 'after'): void {
    this.#countdown = write;
    this.#when = when;
  }

  open(): Promise<void> {
    return this.#store.open();
  }

  read(id: RecordId): Promise<StoredRecord | undefined> {
    return this.#store.read(id);
  }

  async write(id: RecordId, data: Uint8Array, etag: string | undefined): Promise<string> {
    const fails = this.#countdown > 0 && --this.#countdown === 0;
    if (fails && this.#when === 'before') throw new StoreError(`${id.key}: not written`);
    const written = await this.#store.write(id, data, etag);
    if (fails) throw new StoreError(`${id.key}: written, or not`);
    return written;
  }

  clear(id: RecordId, etag: string | undefined): Promise<void> {
    return this.#store.clear(id, etag);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

describe('the bank', () => {
  const grains = [Account, Transfer];

  async function open(cluster: TestCluster): Promise<void> {
    await cluster.grain(Account, 'ada').open(100);
    await cluster.grain(Account, 'bob').open(100);
    await cluster.grain(Account, 'eve').open(100);
    await cluster.grain(Account, 'eve').close();
  }

  const balances = (cluster: TestCluster) =>
    Promise.all(['ada', 'bob', 'eve'].map((name) => cluster.grain(Account, name).balance()));

  test('moves money once, however often and however simultaneously it is asked', async () => {
    await using cluster = await TestCluster.start({ grains });
    await open(cluster);
    const order: Order = { from: 'ada', to: 'bob', cents: 30 };
    const asked = Array.from({ length: 10 }, () => cluster.grain(Transfer, 't').move(order));
    expect(new Set(await Promise.all(asked))).toEqual(new Set([true]));
    expect(await balances(cluster)).toEqual([70, 130, 100]);
  });

  test('refuses another order under the same id, and fractions of a cent', async () => {
    await using cluster = await TestCluster.start({ grains, silos: ['a'] });
    await open(cluster);
    await cluster.grain(Transfer, 't').move({ from: 'ada', to: 'bob', cents: 30 });
    const another = cluster.grain(Transfer, 't').move({ from: 'ada', to: 'bob', cents: 31 });
    await expect(another).rejects.toThrow('transfer t is another one: 30 cents from ada to bob');
    const part = cluster.grain(Transfer, 'u').move({ from: 'ada', to: 'bob', cents: 0.5 });
    await expect(part).rejects.toThrow(RangeError);
    expect(await balances(cluster)).toEqual([70, 130, 100]);
  });

  // A transfer writes five records, or six when the money comes back: whichever write fails, however, asking
  // again ends it.
  const outcomes = [
    { what: 'arrives', to: 'bob', moved: true, after: [70, 130, 100] },
    { what: 'is given back', to: 'eve', moved: false, after: [100, 100, 100] },
  ] as const;
  test.each(outcomes)('loses and doubles nothing at any step when money $what', async (outcome) => {
    const store = new FailingStore();
    await using cluster = await TestCluster.start({ grains, silos: ['a', 'b'], stores: { default: store } });
    await open(cluster);
    const order: Order = { from: 'ada', to: outcome.to, cents: 30 };
    for (const when of ['before', 'after'] as const) {
      for (const write of [1, 2, 3, 4, 5]) {
        const transfer = cluster.grain(Transfer, `${when}-${write}`);
        store.arm(write, when);
        await expect(transfer.move(order)).rejects.toThrow(StoreError);
        expect(await transfer.move(order)).toBe(outcome.moved);
        expect(await balances(cluster)).toEqual(outcome.after);
        // Back again, for the next round.
        if (outcome.moved) {
          await cluster.grain(Transfer, `${when}-${write}-back`).move({ ...order, from: 'bob', to: 'ada' });
        }
      }
    }
  });

  test('forgets the answers for transfers that are through, so that accounts do not grow', async () => {
    const store = memory();
    await using cluster = await TestCluster.start({ grains, silos: ['a', 'b'], stores: { default: store } });
    await open(cluster);
    const size = async () => {
      const id = { type: 'Account', key: 'ada', name: 'state' };
      return (await store.read(id))?.data.length ?? 0;
    };
    const transfer = async (n: number) => {
      const [from, to] = n % 2 === 0 ? ['ada', 'bob'] : ['bob', 'ada'];
      await cluster.grain(Transfer, `t${1_000 + n}`).move({ from, to, cents: 10 } as Order);
    };
    for (let n = 0; n < 64; n++) await transfer(n);
    const full = await size();
    for (let n = 64; n < 300; n++) await transfer(n);
    expect(await size()).toBeLessThanOrEqual(full);
    expect(await balances(cluster)).toEqual([100, 100, 100]);
  });

  test('has every cent after a silo crashed in the middle of many transfers', async () => {
    await using cluster = await TestCluster.start({ grains });
    await open(cluster);
    const orders = Array.from({ length: 60 }, (_, n): Order => {
      return n % 2 === 0 ? { from: 'ada', to: 'bob', cents: 1 } : { from: 'bob', to: 'ada', cents: 1 };
    });
    const moved = orders.map((order, n) => cluster.grain(Transfer, n).move(order));
    await Promise.race(moved);
    cluster.crash('c');
    const outcomes = await Promise.allSettled(moved);
    const asked = orders.map((order, n) => cluster.grain(Transfer, n).move(order));
    expect(outcomes).toHaveLength(60);
    expect(new Set(await Promise.all(asked))).toEqual(new Set([true]));
    expect(await balances(cluster)).toEqual([100, 100, 100]);
  });
});

describe('the chat room', () => {
  const read = async (messages: AsyncIterable<Message>, until: string): Promise<string[]> => {
    const heard: string[] = [];
    for await (const { text } of messages) {
      heard.push(text);
      if (text === until) break;
    }
    return heard;
  };

  test('tells all its readers, on other silos too, the same in the same order', async () => {
    await using cluster = await TestCluster.start({ grains: [Room] });
    const lobby = cluster.grain(Room, 'lobby');
    await lobby.say('ada', '1');
    const readers = ['a', 'b', 'c'].map((silo) => read(cluster.silo(silo).grain(Room, 'lobby').read(), '4'));
    await Promise.all(['2', '3'].map((text) => lobby.say('bob', text)));
    await lobby.say('ada', '4');
    expect(await Promise.all(readers)).toEqual(Array(3).fill(['1', '2', '3', '4']));
  });

  test('is read on, from where one was, after its silo stopped with readers waiting', async () => {
    await using cluster = await TestCluster.start({ grains: [Room], silos: ['a', 'b'] });
    const lobby = cluster.grain(Room, 'lobby');
    await lobby.say('ada', '1');
    const first = lobby.read();
    expect((await first.next()).value).toMatchObject({ number: 1 });
    const waiting = first.next();
    waiting.catch(() => {});
    const [place] = cluster.activationsOf(Room, 'lobby');
    const start = performance.now();
    await cluster.stop(place?.silo ?? '');
    // A reader that waits does not hold the silo up: it would be for its whole drain time, ten seconds.
    expect(performance.now() - start).toBeLessThan(5_000);
    await expect(waiting).rejects.toMatchObject({ code: 'SILO_UNAVAILABLE', retryable: true });
    const second = read(lobby.read(1), '2');
    await lobby.say('bob', '2');
    expect(await second).toEqual(['2']);
  });
});

describe('the silo program', () => {
  const URLS = { NATS_URL: 'nats://127.0.0.1:1', DATABASE_URL: 'postgres://u:secret@127.0.0.1:1/d' };

  test('reads only variables that docs/compose.md documents, and all of those', () => {
    const documented = readFileSync(`${ROOT}docs/compose.md`, 'utf8').matchAll(/^\| `([A-Z_]+)` \|/gm);
    expect([...documented].map(([, name]) => name).sort()).toEqual([...VARIABLES].sort());
  });

  test.each([
    ['NATS_URL', '', 'NATS_URL is not set'],
    ['NATS_URL', 'http://host', 'NATS_URL is not a URL like nats://'],
    ['DATABASE_URL', 'mysql://host', 'DATABASE_URL is not a URL like postgres://'],
    ['GRANARY_CLUSTER', 'my shop', `GRANARY_CLUSTER is 'my shop'; it must be 1 to 64 letters`],
    ['GRANARY_PARTITIONS', '12x', `GRANARY_PARTITIONS is '12x'; it must be a power of two from 1`],
    ['GRANARY_PARTITIONS', '1000', `GRANARY_PARTITIONS is '1000'; it must be a power of two`],
    ['GRANARY_STOP_MS', '-1', `GRANARY_STOP_MS is '-1'; it must be a whole number from 0`],
    ['GRANARY_POOL', '0', `GRANARY_POOL is '0'; it must be a whole number from 1 to 100`],
    ['GRANARY_LOG', 'loud', `GRANARY_LOG is 'loud'; it must be one of trace, debug`],
    ['GRANARY_SILOS', '3', 'GRANARY_SILOS is no variable of Granary; there are: NATS_URL'],
  ])('refuses %s=%s', (name, value, message) => {
    expect(() => readSettings({ ...URLS, [name]: value })).toThrow(message);
  });

  test('names all that is wrong at once, and repeats no password', () => {
    const read = () => readSettings({ DATABASE_URL: 'postgre://u:secret@h/d', GRANARY_STOP_MS: 'soon' });
    expect(read).toThrow(/NATS_URL.*\nDATABASE_URL.*\nGRANARY_STOP_MS/);
    expect(read).not.toThrow(/secret/);
  });

  test('exits with 1 and says so when PostgreSQL or NATS is not there', async () => {
    await using postgres = await startPostgres();
    const health = { GRANARY_HEALTH_PORT: '0' };
    await using noDatabase = sample('silo/main.ts', { ...URLS, ...health });
    await using noNats = sample('silo/main.ts', { ...URLS, ...health, DATABASE_URL: postgres.url });
    expect(await noDatabase.exited).toEqual({ code: 1, signal: null });
    expect(noDatabase.output).toContain('granary silo: PostgreSQL at 127.0.0.1:1/d cannot be reached');
    expect(noDatabase.output).not.toContain('secret');
    expect(await noNats.exited).toEqual({ code: 1, signal: null });
    expect(noNats.output).toContain('granary silo: no NATS server at');
  });

  test('takes calls, tells its health, and leaves in order when it is told to', async () => {
    await using server = await startNats();
    await using postgres = await startPostgres();
    const port = await freePort();
    await using silo = sample('silo/main.ts', {
      ...{ NATS_URL: server.url, DATABASE_URL: postgres.url, GRANARY_CLUSTER: 'shop' },
      ...{ GRANARY_SILO: 'one', GRANARY_HEALTH_PORT: String(port) },
    });
    await silo.line(/silo one of cluster shop takes calls/);
    const health = async () => {
      const response = await fetch(`http://127.0.0.1:${port}/health`);
      return [response.status, await response.json()];
    };
    const body = { silo: 'one', silos: ['one'], activations: 0 };
    expect(await health()).toEqual([200, { state: 'up', ...body }]);
    await server.kill();
    await vi.waitFor(
      async () => expect(await health()).toEqual([503, { state: 'disconnected', ...body }]),
      5_000,
    );
    await server.restart();
    await vi.waitFor(async () => expect(await health()).toEqual([200, { state: 'up', ...body }]), 5_000);
    await using client = await Client.connect({
      cluster: 'shop',
      transport: nats({ servers: server.url }),
    });
    await client.grain(Account, 'ada').open(5);
    expect(await client.grain(Account, 'ada').place()).toBe('one');
    silo.sigterm();
    expect(await silo.exited).toEqual({ code: 0, signal: null });
    expect(silo.output).toContain('silo one has left');
  });

  test('ends at once at the second signal, when the first cannot be obeyed', async () => {
    await using server = await startNats();
    await using postgres = await startPostgres();
    await using silo = sample('silo/main.ts', {
      ...{ NATS_URL: server.url, DATABASE_URL: postgres.url, GRANARY_HEALTH_PORT: '0' },
      ...{ GRANARY_STOP_MS: '600000' },
    });
    await silo.line(/takes calls/);
    await server.pause(); // Nobody hears that it leaves.
    silo.sigterm();
    await silo.line(/SIGTERM: stopping/);
    silo.sigterm();
    expect(await silo.exited).toEqual({ code: 1, signal: null });
    server.resume();
  });
});
