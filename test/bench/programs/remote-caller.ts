import { Client } from 'granary';
import { nats } from 'granary/nats';
import { Counter, GRAINS } from './grains.ts';
import { callsPerSecond, callTimes, type Load } from './load.ts';
import { answer, setting } from './session.ts';

const transport = nats({ servers: setting('NATS_URL') });
const client = await Client.connect({ cluster: setting('CLUSTER'), transport });
const counters = Array.from({ length: GRAINS }, (_, key) => client.grain(Counter, key));
await Promise.all(counters.map((counter) => counter.increment(1)));

await answer(({ grains = GRAINS, ...load }: Load & { grains?: number }) => {
  const call = (random: number) => (counters[random % grains] as (typeof counters)[0]).increment(1);
  return load.callers === 1 ? callTimes(load.ms, call) : callsPerSecond(load, call);
});
