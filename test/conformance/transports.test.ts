import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RecordingReceiver } from '../../framework/testing/recording-receiver.ts';
import { transportConformance } from '../../framework/testing/transport-conformance.ts';
import { inProcess } from '../../framework/transport/in-process.ts';
import { nats } from '../../framework/transport/nats.ts';
import type { Transport } from '../../framework/transport/transport.ts';
import { type NatsServer, startNats } from '../support/nats-server.ts';

describe('the in-process network', () => {
  for (const { name, run } of transportConformance()) {
    it(name, async () => {
      const network = inProcess();
      await run({ transport: network, request: (subject, payload) => network.request(subject, payload) });
    });
  }
});

describe('NATS', () => {
  let server: NatsServer;
  let foreign: NatsConnection;
  beforeAll(async () => {
    server = await startNats();
    foreign = await connect({ servers: server.url });
  });
  afterAll(async () => {
    await foreign.close();
    await server.stop();
  });
  const request = async (subject: string, payload: Uint8Array) =>
    (await foreign.request(subject, payload)).data;
  for (const { name, run } of transportConformance()) {
    it(name, () => run({ transport: nats({ servers: server.url }), request }));
  }
});

const bytes = (text: string) => new TextEncoder().encode(text);

async function node(transport: Transport, address: string) {
  const receiver = new RecordingReceiver();
  const endpoint = await transport.open({ cluster: 'shop', address, receiver });
  const texts = () => receiver.messages.map(({ payload }) => Buffer.from(payload).toString());
  return {
    address,
    endpoint,
    receiver,
    texts,
    send: (to: string, text: string) => endpoint.send('data', to, bytes(text), 1),
  };
}

describe('trouble on the in-process network', () => {
  async function three() {
    const network = inProcess();
    const [a, b, c] = [await node(network, 'a~1'), await node(network, 'b~1'), await node(network, 'c~1')];
    return { network, a, b, c };
  }

  it('loses silently what crosses a partition, both ways, also broadcasts, until it heals', async () => {
    const { network, a, b, c } = await three();
    b.endpoint.serve();
    network.partition(['a'], ['b~1']);
    a.send('b~1', 'lost');
    b.send('a~1', 'lost');
    a.endpoint.broadcast(bytes('all'));
    a.endpoint.sendToAnySilo(bytes('any'), 9);
    c.send('b~1', 'from c');
    await a.endpoint.flush();
    expect(a.texts()).toEqual([]);
    expect(b.texts()).toEqual(['from c']);
    expect(c.texts()).toEqual(['all']);
    expect(a.receiver.returned).toEqual([{ lane: 'control', to: undefined, ticket: 9 }]);
    expect(b.receiver.returned).toEqual([]);
    network.heal();
    a.send('b~1', 'healed');
    await a.endpoint.flush();
    expect(b.texts()).toEqual(['from c', 'healed']);
  });

  it('drops what a crashed node had under way, and makes sends to it undeliverable', async () => {
    const { network, a, b, c } = await three();
    b.endpoint.serve();
    b.send('a~1', 'under way');
    a.send('b~1', 'too late');
    network.crash('b');
    b.send('a~1', 'from the grave');
    a.endpoint.sendToAnySilo(bytes('any'), 2);
    await c.endpoint.flush();
    expect(a.texts()).toEqual([]);
    expect(a.receiver.returned.map(({ to }) => to)).toEqual(['b~1', undefined]);
    expect(b.receiver.events).toBe(0);
  });

  it('lets a crashed name come back under a new address', async () => {
    const { network, a } = await three();
    network.crash('b');
    const again = await node(network, 'b~2');
    a.send('b~2', 'hello');
    await a.endpoint.flush();
    expect(again.texts()).toEqual(['hello']);
  });

  it('holds what a paused node sends and gets, and delivers it in order when it resumes', async () => {
    const { network, a, b } = await three();
    network.pause('b');
    for (const text of ['1', '2', '3']) {
      a.send('b~1', text);
      b.send('a~1', text);
    }
    await a.endpoint.flush();
    expect([a.texts(), b.texts()]).toEqual([[], []]);
    network.resume('b');
    a.send('b~1', '4');
    b.send('a~1', '4');
    for (let i = 0; i < 3; i++) await a.endpoint.flush();
    expect(a.texts()).toEqual(['1', '2', '3', '4']);
    expect(b.texts()).toEqual(['1', '2', '3', '4']);
    expect(a.receiver.returned).toEqual([]);
  });

  it('tells a disconnected node, returns what it sends, and returns what is sent to it', async () => {
    const { network, a, b, c } = await three();
    network.disconnect('b');
    expect(b.endpoint.connected).toBe(false);
    a.send('b~1', 'to nobody');
    b.send('a~1', 'nowhere');
    b.endpoint.broadcast(bytes('nowhere'));
    await expect(b.endpoint.flush()).rejects.toMatchObject({ code: 'SILO_UNAVAILABLE' });
    await a.endpoint.flush();
    expect(a.receiver.returned).toEqual([{ lane: 'data', to: 'b~1', ticket: 1 }]);
    expect(b.receiver.returned).toEqual([{ lane: 'data', to: 'a~1', ticket: 1 }]);
    expect([a.texts(), b.texts(), c.texts()]).toEqual([[], [], []]);
    network.reconnect('b');
    a.send('b~1', 'back');
    await a.endpoint.flush();
    expect(b.texts()).toEqual(['back']);
    expect(b.receiver.connections).toEqual([false, true]);
  });

  it('rejects a plain call that is not answered in time', async () => {
    const { network, a } = await three();
    a.endpoint.serve();
    await expect(network.request('granary.shop.call.T.k.m', bytes('[]'), 5)).rejects.toMatchObject({
      code: 'CALL_TIMEOUT',
    });
    expect(a.receiver.plainCalls).toBe(1);
  });
});
