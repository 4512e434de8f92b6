import { inProcessLog } from 'granary';
import { jetStream } from 'granary/nats';
import { eventLogConformance, runEventLogCase } from 'granary/testing';
import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../framework/system/clock.ts';
import { type NatsServer, startNats } from '../support/nats-server.ts';

let clusters = 0;

describe('the log inside a process', () => {
  test.each(eventLogConformance)('$name', (each) =>
    runEventLogCase(each, { log: inProcessLog(), cluster: `c${++clusters}` }),
  );
});

describe('the log on JetStream', () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await startNats({ jetstream: true });
  });
  afterAll(() => server.stop());

  test.each(eventLogConformance)('$name', (each) =>
    runEventLogCase(each, { log: jetStream({ servers: server.url }), cluster: `c${++clusters}` }),
  );

  test('a reader whose consumer is removed goes on with another, and misses nothing', async () => {
    const cluster = `c${++clusters}`;
    const session = await jetStream({ servers: server.url }).open({ cluster, clock: systemClock });
    const admin = await connect({ servers: server.url });
    const stream = `granary=${cluster}=orders`;
    await session.shards('orders');
    const append = (text: string) =>
      session.append('orders', 0, { key: 'k', data: new TextEncoder().encode(text), id: text });
    const reader = session.read('orders', 0, 0);
    const texts: string[] = [];
    for (const text of ['a', 'b', 'c']) {
      const waiting = reader.next(1, 1_000);
      await vi.waitFor(() => expect(reader.pending()).resolves.toBe(0));
      const manager = await admin.jetstreamManager();
      for (const { name } of await manager.consumers.list(stream).next()) {
        await manager.consumers.delete(stream, name);
      }
      const first = await waiting; // the server says that the consumer is gone
      await append(text);
      const items = first.length > 0 ? first : await reader.next(1, 1_000);
      texts.push(...items.map(({ data }) => new TextDecoder().decode(data)));
    }
    expect(texts).toEqual(['a', 'b', 'c']);
    await admin.close();
    await session.close();
  });
});
