import { Client, Grain, grain, inProcess, method, Silo } from 'granary';
import { expect, test } from 'vitest';
import { runtimeOf } from '../../framework/silo.ts';

/** Where calls ran after the moment that a test is about. */
let ran: Set<string> | undefined;

@grain()
class Probe extends Grain {
  @method() async hit(): Promise<string> {
    ran?.add(this.context.silo);
    return this.context.silo;
  }
}

/** Many more calls than a silo takes in at once; resolves when the first frame of them has come. */
async function flood(client: Client, silo: Silo): Promise<Promise<string>[]> {
  const calls = Array.from({ length: 3_000 }, (_, key) => client.grain(Probe, key).hit());
  for (const call of calls) call.catch(() => {});
  const { link } = runtimeOf(silo).node;
  const receive = link.receive.bind(link);
  await new Promise<void>((resolve) => {
    link.receive = (payload) => {
      receive(payload);
      resolve();
    };
  });
  return calls;
}

test('what waits to be taken in when a silo ends at once is not run', async () => {
  const transport = inProcess();
  const silo = await Silo.start({ cluster: 'flood', name: 'a', grains: [Probe], transport });
  const client = await Client.connect({ cluster: 'flood', transport });
  await client.grain(Probe, 'x').hit();
  await flood(client, silo);
  const before = silo.activations;
  expect(before).toBeLessThan(3_000);
  ran = new Set();
  await runtimeOf(silo).halt();
  expect([silo.activations, ran]).toEqual([before, new Set()]);
  await client.close();
});

test('what waits to be taken in when a silo stops in order is run, elsewhere', async () => {
  const transport = inProcess();
  const start = (name: string) => Silo.start({ cluster: 'flood', name, grains: [Probe], transport });
  const [a, b] = [await start('a'), await start('b')];
  const client = await Client.connect({ cluster: 'flood', transport });
  const calls = await flood(client, a);
  await a.stop();
  ran = new Set();
  const places = await Promise.all(calls);
  expect(new Set(places)).toContain('b');
  expect(ran).not.toContain('a');
  await client.close();
  await b.stop();
});
