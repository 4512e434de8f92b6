import { fileURLToPath } from 'node:url';
import { Client, type EventMeta, Grain, grain, Silo, subscribe } from 'granary';
import { jetStream, nats } from 'granary/nats';
import { connect } from 'nats';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { machineNow } from '../support/machine-clock.ts';
import { type NatsServer, startNats } from '../support/nats-server.ts';
import { type Program, spawnNode } from '../support/processes.ts';

const PROGRAM = fileURLToPath(new URL('programs/topic-silo.ts', import.meta.url));
const KEYS = Array.from({ length: 24 }, (_, n) => `k${n}`);

let server: NatsServer;
beforeAll(async () => {
  server = await startNats({ jetstream: true });
});
afterAll(() => server.stop());

interface Handled {
  readonly key: string;
  readonly seq: number;
  /** On the machine's clock, which all processes share. */
  readonly at: number;
}

const handled: Handled[] = [];

/** The silo of the test itself takes its share. */
@grain()
class Printer extends Grain {
  @subscribe('orders')
  async ordered(_value: number, { key, seq }: EventMeta): Promise<void> {
    handled.push({ key, seq, at: machineNow() });
  }
}

/** Publishes to all keys, one event of a key after the other, until told to stop. */
class Publishing {
  readonly published: { key: string; seq: number }[] = [];
  readonly failures: string[] = [];
  readonly #client: Client;
  readonly #running: Promise<unknown>;
  #stopped = false;

  constructor(client: Client) {
    this.#client = client;
    this.#running = Promise.all(KEYS.map((key) => this.#publish(key)));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  /** Resolves when so many more have been acknowledged. */
  async more(count: number): Promise<void> {
    const until = this.published.length + count;
    await vi.waitFor(() => expect(this.published.length).toBeGreaterThanOrEqual(until), { timeout: 20_000 });
  }

  async #publish(key: string): Promise<void> {
    for (let value = 0; !this.#stopped; value++) {
      try {
        this.published.push({ key, seq: await this.#client.publish('orders', key, value) });
      } catch (error) {
        this.failures.push((error as { code: string }).code);
      }
    }
  }
}

const start = async (cluster: string, name: string): Promise<Program> => {
  const program = spawnNode(PROGRAM, { args: [JSON.stringify({ cluster, name, servers: server.url })] });
  program.follow('handled ', (rest) => {
    const [key = '', seq, at] = rest.split(' ');
    handled.push({ key, seq: Number(seq), at: Number(at) });
  });
  await program.line(/^ready$/);
  return program;
};

test('silos are killed and NATS is restarted under load: nothing is lost, no key out of order', async () => {
  const doors = {
    cluster: 'shop',
    transport: nats({ servers: server.url }),
    topics: jetStream({ servers: server.url }),
  };
  const programs = await Promise.all(['a', 'b'].map((name) => start('shop', name)));
  await using silo = await Silo.start({ ...doors, name: 'here', grains: [Printer], log: 'silent' });
  await using client = await Client.connect({ ...doors, log: 'silent' });
  const publishing = new Publishing(client);
  await publishing.more(250);
  programs[0]?.kill9();
  await publishing.more(250);
  programs[1]?.kill9();
  await publishing.more(250);
  await server.kill();
  await server.restart();
  await publishing.more(250);
  await publishing.stop();
  await vi.waitFor(
    async () => expect(await silo.topics.lag()).toMatchObject([{ events: 0, shards: 16, ofShards: 16 }]),
    { timeout: 30_000, interval: 100 },
  );

  expect(publishing.failures.filter((code) => code !== 'EVENT_LOG_FAILED')).toEqual([]);
  const firsts = new Map(KEYS.map((key) => [key, new Set<number>()]));
  for (const { key, seq } of handled.sort((a, b) => a.at - b.at)) firsts.get(key)?.add(seq);
  const lost = publishing.published.filter(({ key, seq }) => !firsts.get(key)?.has(seq));
  expect(lost).toEqual([]);
  for (const [key, seqs] of firsts) expect([...seqs], key).toEqual([...seqs].sort((a, b) => a - b));
  for (const program of programs) await program[Symbol.asyncDispose]();
});

test('what is wrong with JetStream is said by name', async () => {
  const open = (options: Parameters<typeof jetStream>[0]) =>
    Silo.start({ cluster: 'named', grains: [Printer], log: 'silent', topics: jetStream(options) });
  const invalid = { code: 'INVALID_CONFIG' };
  expect(() => jetStream({ servers: server.url, shards: 0 })).toThrow(/shards is 0/);
  expect(() => jetStream({ servers: server.url, replicas: 9 as 1 })).toThrow(/replicas is 9/);
  expect(() => jetStream({ servers: server.url, maxAgeMs: 0.5 })).toThrow(/maxAgeMs is 0.5/);
  await (await open({ servers: server.url, shards: 4 })).stop();
  await expect(open({ servers: server.url, shards: 8 })).rejects.toThrow(/'orders' has 4 shards/);
  await expect(open({ servers: server.url, shards: 8 })).rejects.toMatchObject(invalid);
  await using without = await startNats();
  const refused = open({ servers: without.url, connectTimeoutMs: 300 });
  await expect(refused).rejects.toMatchObject({
    ...invalid,
    message: expect.stringMatching(/start it with -js/),
  });
  const nobody = open({ servers: 'nats://127.0.0.1:1', connectTimeoutMs: 200 });
  await expect(nobody).rejects.toMatchObject({ code: 'EVENT_LOG_FAILED' });
});

test('a topic that somebody has removed is made anew, and what comes then is handled', async () => {
  const topics = jetStream({ servers: server.url, shards: 1 });
  const start = () => Silo.start({ cluster: 'anew', grains: [Printer], topics, log: 'silent' });
  handled.length = 0;
  const publish = (silo: Silo, times: number) =>
    Promise.all(Array.from({ length: times }, (_, n) => silo.publish('orders', `anew ${n}`, n)));
  const first = await start();
  await publish(first, 5);
  await vi.waitFor(() => expect(handled).toHaveLength(5));
  await first.stop();
  const admin = await connect({ servers: server.url });
  await (await admin.jetstreamManager()).streams.delete('granary=anew=orders');
  await admin.close();
  await using second = await start();
  await publish(second, 3);
  await vi.waitFor(() => expect(handled).toHaveLength(8));
});
