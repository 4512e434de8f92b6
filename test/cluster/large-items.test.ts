import { Grain, grain, LIMITS, method } from 'granary';
import { TestCluster } from 'granary/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { failure } from '../support/places.ts';
import { Stage } from '../support/stage.ts';

const MB = 1024 * 1024;
const stage = new Stage();
const produced = new Map<string, number>();

@grain()
class Depot extends Grain {
  #log: number[] = [];

  @method()
  async *items(bytes: number, count: number): AsyncGenerator<Uint8Array> {
    try {
      for (let i = 1; i <= count; i++) {
        produced.set(this.key, i);
        yield new Uint8Array(bytes).fill(i);
      }
    } finally {
      stage.pass(`${this.key} finally`);
    }
  }

  @method()
  async take(bytes: Uint8Array): Promise<number> {
    return this.#log.push(bytes.length);
  }

  @method()
  async log(): Promise<number[]> {
    return this.#log;
  }

  @method({ interleave: true })
  async ping(): Promise<string> {
    return this.context.silo;
  }
}

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await TestCluster.start({ silos: ['a', 'b'], grains: [Depot] });
});
afterAll(() => cluster[Symbol.asyncDispose]());

test('a stream of large items keeps its producer from running ahead by more than a few', async () => {
  const stream = cluster.grain(Depot, 'window').items(3 * MB, 20);
  const ahead = Math.ceil(LIMITS.streamWindowBytes / (3 * MB));
  for (let read = 1; read <= 6; read++) {
    const { value } = await stream.next();
    expect([value?.length, value?.[0], value?.at(-1)]).toEqual([3 * MB, read, read]);
    await cluster.grain(Depot, 'window').ping();
    expect(produced.get('window')).toBeLessThanOrEqual(read + ahead);
  }
  await expect.poll(() => produced.get('window')).toBe(6 + ahead);
  await stream.return?.();
  await stage.reached('window finally');
});

test('a reader that leaves in the middle of a large item ends its producer', async () => {
  const depot = cluster.grain(Depot, 'leave');
  const stream = depot.items(8 * MB, 20);
  await stream.next();
  const second = stream.next();
  await stream.return?.();
  await stage.reached('leave finally');
  expect(await second).toEqual({ done: true, value: undefined });
  expect(produced.get('leave')).toBeLessThanOrEqual(3);
  expect(await depot.take(new Uint8Array(2 * MB))).toBe(1); // and nothing is in the way of what follows
});

test('a small call answers before a large one to another grain, that was made before it', async () => {
  const order: string[] = [];
  for (const key of ['large', 'small']) await cluster.grain(Depot, key).ping(); // both are active
  const large = cluster.grain(Depot, 'large').take(new Uint8Array(12 * MB));
  const small = cluster.grain(Depot, 'small').ping();
  await Promise.all([large.then(() => order.push('large')), small.then(() => order.push('small'))]);
  expect(order).toEqual(['small', 'large']);
});

test('calls to one grain arrive in the order sent, large or small', async () => {
  const depot = cluster.grain(Depot, 'order');
  const sizes = [1, 2 * MB, 2, 100_000, 3, 4 * MB, 4, 5];
  await Promise.all(sizes.map((size) => depot.take(new Uint8Array(size))));
  expect(await depot.log()).toEqual(sizes);
});

test('a silo that stops in the middle of a large item sends it, and then the end of the stream', async () => {
  const depot = cluster.grain(Depot, 'stop');
  const silo = await depot.ping();
  const items: Uint8Array[] = [];
  const stream = depot.items(8 * MB, 100);
  const reading = (async () => {
    for await (const item of stream) items.push(item);
  })();
  const failed = failure(reading);
  await expect.poll(() => items.length).toBeGreaterThan(1);
  await cluster.stop(silo);
  expect(await failed).toMatchObject({ code: 'SILO_UNAVAILABLE', message: /read it anew/ });
  for (const [index, item] of items.entries()) {
    expect([item.length, item[0], item.at(-1)]).toEqual([8 * MB, index + 1, index + 1]);
  }
  expect(items.length).toBe(produced.get('stop'));
});
