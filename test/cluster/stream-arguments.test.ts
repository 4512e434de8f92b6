import { Client, Grain, grain, method } from 'granary';
import { TestCluster } from 'granary/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

@grain()
class Echo extends Grain {
  @method()
  async *items(value: unknown): AsyncGenerator<unknown> {
    yield value;
  }
}

let cluster: TestCluster;
/** Has never seen the class, so it does not know what is a stream. */
let client: Client;

beforeAll(async () => {
  const options = { cluster: 'streams' };
  cluster = await TestCluster.start({ silos: ['a', 'b'], grains: [Echo], options });
  client = await Client.connect({ ...options, transport: cluster.network });
});

afterAll(async () => {
  await client.close();
  await cluster[Symbol.asyncDispose]();
});

async function all(items: AsyncIterable<unknown>): Promise<unknown[]> {
  const read: unknown[] = [];
  for await (const item of items) read.push(item);
  return read;
}

describe.each([
  ['with the class', () => cluster.grain(Echo, 'x')],
  ['by name only', () => client.grain<Echo>('Echo', 'x')],
] as const)('the arguments of a stream of a reference made %s', (_how, reference) => {
  test('are taken when it is called, not when it is read', async () => {
    const value = { n: 1 };
    const items = reference().items(value);
    value.n = 2;
    expect(await all(items)).toEqual([{ n: 1 }]);
  });

  test('that cannot travel fail the first read, and nothing else', async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', note);
    try {
      const items = reference().items(() => {});
      await expect(all(items)).rejects.toMatchObject({ code: 'NOT_SERIALIZABLE', path: 'args[0]' });
      await new Promise((resolve) => setImmediate(resolve));
      expect(unhandled).toEqual([]);
    } finally {
      process.off('unhandledRejection', note);
    }
  });
});
