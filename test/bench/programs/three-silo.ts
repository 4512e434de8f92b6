import { Silo } from 'granary';
import { nats } from 'granary/nats';
import { Counter, GRAINS } from './grains.ts';
import { callsPerSecond, type Load } from './load.ts';
import { answer, setting } from './session.ts';

const transport = nats({ servers: setting('NATS_URL') });
const silo = await Silo.start({ cluster: setting('CLUSTER'), grains: [Counter], transport });
let elsewhere: ReturnType<typeof counter>[] | undefined;

function counter(key: number) {
  return silo.grain(Counter, key);
}

/** References to grains on other silos, once all silos are there. */
async function found(silos: number): Promise<ReturnType<typeof counter>[]> {
  while (silo.silos.length < silos) await new Promise((resolve) => setTimeout(resolve, 10));
  const refs = Array.from({ length: GRAINS }, (_, key) => counter(key));
  const places = await Promise.all(refs.map((ref) => ref.where()));
  return refs.filter((_, index) => places[index] !== silo.name);
}

/** Calls to grains on the other silos, while those do the same. */
await answer(async ({ silos, ...load }: Load & { silos: number }) => {
  elsewhere ??= await found(silos);
  const refs = elsewhere;
  return await callsPerSecond(load, (random) =>
    (refs[random % refs.length] as (typeof refs)[0]).increment(1),
  );
});
