import { nats } from '../../framework/transport/nats.ts';

/**
 * A node in a process of its own, for tests that kill it: `tsx transports-peer.ts <server> <cluster>
 * <address>`.
 */
const [servers = '', cluster = '', address = ''] = process.argv.slice(2);
const endpoint = await nats({ servers }).open({
  cluster,
  address,
  receiver: {
    received: (lane, payload) => console.log(`received ${payload.length} on ${lane}`),
    undeliverable() {},
    connectionChanged() {},
    plainCall() {},
  },
});
endpoint.serve();
await endpoint.flush();
console.log('ready');
