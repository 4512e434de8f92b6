import { Silo } from 'granary';
import { nats } from 'granary/nats';
import { Counter, Source } from './grains.ts';
import { callTimes } from './load.ts';
import { answer, setting } from './session.ts';

interface Request {
  readonly streaming: boolean;
  readonly ms: number;
}

const ITEM_BYTES = 8_000_000;

const transport = nats({ servers: setting('NATS_URL') });
const silo = await Silo.start({ cluster: setting('CLUSTER'), grains: [Counter, Source], transport });
let suspicions = 0;
silo.subscribe(() => suspicions++, ['siloSuspected', 'awayNoticed']);
while (silo.silos.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));

/** References to grains on the other silo. */
async function elsewhere<Ref extends { where(): Promise<string> }>(of: (key: number) => Ref): Promise<Ref[]> {
  const refs = Array.from({ length: 200 }, (_, key) => of(key));
  const silos = await Promise.all(refs.map((ref) => ref.where()));
  return refs.filter((_, index) => silos[index] !== silo.name);
}

const counters = await elsewhere((key) => silo.grain(Counter, key));
const [source] = await elsewhere((key) => silo.grain(Source, key));

/** Small calls to the other silo, one at a time, while items of 8 MB come from there or not. */
await answer(async ({ streaming, ms }: Request) => {
  let reading = streaming;
  let bytes = 0;
  const read = async (): Promise<void> => {
    if (!source) throw new Error('the other silo has no grain');
    for await (const item of source.items(ITEM_BYTES)) {
      bytes += item.byteLength;
      if (!reading) break;
    }
  };
  const start = performance.now();
  const done = streaming ? read() : Promise.resolve();
  const times = await callTimes(ms, (index) =>
    (counters[index % counters.length] as (typeof counters)[0]).increment(1),
  );
  reading = false;
  const megabytes = bytes / 1e6 / ((performance.now() - start) / 1_000);
  await done;
  await counters[0]?.increment(1); // Its answer comes after all that is still on its way.
  return { ...times, megabytes, suspicions };
});
