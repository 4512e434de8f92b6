import { fileURLToPath } from 'node:url';
import { Grain, grain, method, type ObserverRef } from 'granary';
import { nats } from 'granary/nats';
import { TestCluster } from 'granary/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type NatsServer, startNats } from '../support/nats-server.ts';
import { failure } from '../support/places.ts';
import { type Program, spawnNode } from '../support/processes.ts';

interface Told {
  tell(text: string): unknown;
}

@grain()
class Teller extends Grain {
  #observer: ObserverRef<Told> | undefined;

  @method()
  async keep(observer: ObserverRef<Told>): Promise<void> {
    this.#observer = observer;
  }

  @method()
  async tell(text: string): Promise<unknown> {
    return this.#observer?.tell(text);
  }
}

const CLUSTER = 'observed';
const WATCHER = fileURLToPath(new URL('programs/watcher.ts', import.meta.url));

let server: NatsServer;
let cluster: TestCluster;

beforeAll(async () => {
  server = await startNats();
  cluster = await TestCluster.start({
    ...{ grains: [Teller], silos: ['a', 'b'], transport: nats({ servers: server.url }) },
    options: { cluster: CLUSTER, callTimeoutMs: 20_000 },
  });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await server.stop();
});

async function watch(key: string): Promise<Program> {
  const options = { cluster: CLUSTER, servers: server.url, type: 'Teller', key };
  const program = spawnNode(WATCHER, { args: [JSON.stringify(options)] });
  await program.ready(/^ready$/);
  return program;
}

test('an observer whose process is killed is gone, within seconds for the call that it had', async () => {
  await using program = await watch('killed');
  const teller = cluster.grain(Teller, 'killed');
  expect(await teller.tell('hello')).toBe(5);
  const had = failure(teller.tell('wait'));
  await program.line(/^told wait$/);
  const killedAt = performance.now();
  process.kill(program.pid, 'SIGKILL');
  expect(await had).toMatchObject({ code: 'OBSERVER_GONE', reason: 'unreachable' });
  expect(performance.now() - killedAt).toBeLessThan(5_000);
  const askedAt = performance.now();
  expect(await failure(teller.tell('again'))).toMatchObject({ code: 'OBSERVER_GONE' });
  expect(performance.now() - askedAt).toBeLessThan(1_000);
});

test('an observer is the same when NATS was gone and all have connected again', async () => {
  const heard: string[] = [];
  const observer = cluster.client.observe<Told>({ tell: (text) => heard.push(text) });
  const teller = cluster.grain(Teller, 'kept');
  await teller.keep(observer);
  expect(await teller.tell('before')).toBe(1);
  const back = new Promise<void>((resolve) => {
    cluster.client.subscribe((event) => event.type === 'connectionChanged' && event.connected && resolve());
  });
  await server.kill();
  await server.restart();
  await back;
  await cluster.settled();
  expect(await teller.tell('after')).toBe(2);
  expect(heard).toEqual(['before', 'after']);
});
