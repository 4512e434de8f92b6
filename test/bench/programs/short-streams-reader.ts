import { Client } from 'granary';
import { nats } from 'granary/nats';
import { GRAINS, Source } from './grains.ts';
import { callsPerSecond, type Load } from './load.ts';
import { answer, setting } from './session.ts';

const transport = nats({ servers: setting('NATS_URL') });
const client = await Client.connect({ cluster: setting('CLUSTER'), transport });
const sources = Array.from({ length: GRAINS }, (_, key) => client.grain(Source, key));

/** Streams of a few numbers, each read to its end. */
await answer((load: Load & { items: number }) =>
  callsPerSecond(load, async (random) => {
    let read = 0;
    for await (const number of (sources[random % GRAINS] as (typeof sources)[0]).numbers(load.items)) {
      if (number !== read++) throw new Error('a number is missing');
    }
    if (read !== load.items) throw new Error('the stream ended early');
  }),
);
