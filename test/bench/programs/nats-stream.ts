import { connect } from 'nats';
import { serve, setting } from './session.ts';

/** Answers a request for so many items with as many messages to its reply subject, and an empty one. */
const connection = await connect({ servers: setting('NATS_URL') });
connection.subscribe('bench.stream', {
  callback: (_error, message) => {
    const items = message.data[0] ?? 0;
    for (let item = 0; item < items; item++) message.respond(Uint8Array.of(item));
    message.respond();
  },
});
await connection.flush();
await serve();
