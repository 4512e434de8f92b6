import { type EventMeta, Grain, grain, inProcessLog, Silo, subscribe } from 'granary';
import { jetStream, nats } from 'granary/nats';

/**
 * How many events a second go through a topic, published and handled by one process: `tsx
 * test/bench/programs/topics.ts [nats://…]`; without a server, in memory. Prints one line of JSON.
 */
let handled = 0;
let latencies: number[] = [];

@grain()
class Counter extends Grain {
  @subscribe('bench')
  async count(at: number, _meta: EventMeta): Promise<void> {
    handled++;
    latencies.push(performance.now() - at);
  }
}

const servers = process.argv[2];
const EVENTS = 20_000;
const IN_FLIGHT = 256;
const topics = servers ? jetStream({ servers }) : inProcessLog();
const silo = await Silo.start({
  ...{ cluster: `bench-${process.pid}`, grains: [Counter], topics, log: 'silent' },
  ...(servers && { transport: nats({ servers }) }),
});

async function publishAll(count: number, inFlight: number): Promise<void> {
  let next = 0;
  const one = async () => {
    while (next < count) {
      const n = next++;
      await silo.publish('bench', n % 1_000, performance.now());
    }
  };
  await Promise.all(Array.from({ length: inFlight }, one));
}

async function until(count: number): Promise<void> {
  while (handled < count) await new Promise((resolve) => setTimeout(resolve, 1));
}

await publishAll(2_000, IN_FLIGHT); // warm
await until(2_000);
const from = performance.now();
await publishAll(EVENTS, IN_FLIGHT);
const publishedMs = performance.now() - from;
await until(2_000 + EVENTS);
const handledMs = performance.now() - from;
latencies = [];
for (let n = 0; n < 200; n++) {
  await publishAll(1, 1);
  await until(2_001 + EVENTS + n);
}
latencies.sort((a, b) => a - b);
const perSecond = (ms: number) => Math.round((EVENTS / ms) * 1_000);
console.log(
  JSON.stringify({
    publishedPerSecond: perSecond(publishedMs),
    handledPerSecond: perSecond(handledMs),
    medianMs: Number(latencies[100]?.toFixed(2)),
    heapMb: Math.round(process.memoryUsage().heapUsed / 1e6),
  }),
);
await silo.stop();
