import { connect } from 'nats';
import { callsPerSecond, callTimes, type Load } from './load.ts';
import { answer, setting } from './session.ts';

const connection = await connect({ servers: setting('NATS_URL') });
const payload = new Uint8Array(8);

const call = () => connection.request('bench.echo', payload, { timeout: 10_000 });
await answer((load: Load) => (load.callers === 1 ? callTimes(load.ms, call) : callsPerSecond(load, call)));
