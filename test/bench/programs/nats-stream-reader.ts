import { connect, RequestStrategy } from 'nats';
import { callsPerSecond, type Load } from './load.ts';
import { answer, setting } from './session.ts';

const connection = await connect({ servers: setting('NATS_URL') });

/** The client's own way to ask for several messages, up to an empty one. */
await answer((load: Load & { items: number }) =>
  callsPerSecond(load, async () => {
    let read = 0;
    const messages = await connection.requestMany('bench.stream', Uint8Array.of(load.items), {
      ...{ strategy: RequestStrategy.SentinelMsg, maxWait: 10_000 },
    });
    for await (const message of messages) if (message.data.length > 0) read++;
    if (read !== load.items) throw new Error('a message is missing');
  }),
);
