import { connect } from 'nats';
import { serve, setting } from './session.ts';

const connection = await connect({ servers: setting('NATS_URL') });
connection.subscribe('bench.echo', { callback: (_error, message) => message.respond(message.data) });
await connection.flush();
await serve();
