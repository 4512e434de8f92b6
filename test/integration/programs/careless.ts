import { startNats } from '../../support/nats-server.ts';

/** Starts a server, says where, and never stops it. */
const server = await startNats();
console.log(`port ${server.port} folder ${server.folder}`);
process.stdin.resume();
