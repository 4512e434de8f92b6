import { inProcessLog } from 'granary';
import { jetStream } from 'granary/nats';
import { eventLogConformance, runEventLogCase } from 'granary/testing';
import { afterAll, beforeAll, describe, test } from 'vitest';
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
});
