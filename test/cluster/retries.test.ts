import { Client, Grain, grain, inProcess, method, Silo } from 'granary';
import { expect, test } from 'vitest';
import type { Endpoint, OpenOptions, Transport } from '../../framework/transport/transport.ts';

@grain()
class Patient extends Grain {
  @method()
  async answer(): Promise<string> {
    return 'here';
  }
}

/** A network that one node can be unplugged from: what it sends then comes back at once. */
class Plug implements Transport {
  readonly #network: Transport;
  out = false;

  constructor(network: Transport) {
    this.#network = network;
  }

  async open(options: OpenOptions): Promise<Endpoint> {
    const endpoint = await this.#network.open(options);
    const send = endpoint.send.bind(endpoint);
    endpoint.send = (lane, to, payload, ticket) => {
      if (this.out) setImmediate(() => options.receiver.undeliverable(lane, to, ticket));
      else send(lane, to, payload, ticket);
    };
    return endpoint;
  }
}

const OUT_MS = 3_000;
const CALLS = 20;

// With a timer for each call, each of which sent all of them again, there were twice as many attempts each
// time: 300,000 in six seconds without NATS, and no time left for deadlines.
test('calls to one grain that cannot be sent are tried again together, every 125 to 250 ms', async () => {
  const network = inProcess();
  const plug = new Plug(network);
  const cluster = 'retries';
  await using silo = await Silo.start({ cluster, name: 'a', grains: [Patient], transport: network });
  await using client = await Client.connect({ cluster, transport: plug, callTimeoutMs: 20_000 });
  expect(await client.grain(Patient, 'x').answer()).toBe('here');
  let attempts = 0;
  client.subscribe(() => attempts++, ['callRetried']);
  plug.out = true;
  const calls = Array.from({ length: CALLS }, () => client.grain(Patient, 'x').answer());
  setTimeout(() => {
    plug.out = false;
  }, OUT_MS);
  expect(await Promise.all(calls)).toEqual(calls.map(() => 'here'));
  // The first five within 310 ms, then one every 125 ms at most.
  expect(attempts).toBeLessThan(CALLS * (5 + OUT_MS / 125));
  expect(attempts).toBeGreaterThan(CALLS * 5);
  expect(silo.activations).toBe(1);
});
