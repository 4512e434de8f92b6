import { randomBytes } from 'node:crypto';
import { LIMITS } from 'granary';
import { nats } from 'granary/nats';
import { TestCluster } from 'granary/testing';
import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type NatsServer, startNats } from '../support/nats-server.ts';
import { Counter, Plain } from './programs/grains.ts';

let server: NatsServer;
let cluster: TestCluster;

beforeAll(async () => {
  server = await startNats();
  cluster = await TestCluster.start({ grains: [Counter, Plain], transport: nats({ servers: server.url }) });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await server.stop();
});

describe('over a NATS server that takes messages of 1 MB', () => {
  test('values of 3 MB pass, there and back', async () => {
    const probe = await connect({ servers: server.url });
    expect(probe.info?.max_payload).toBe(1024 * 1024);
    await probe.close();
    const bytes = new Uint8Array(randomBytes(3_000_000));
    const plain = cluster.grain(Plain, 'large');
    expect(await plain.sizeOf(bytes)).toBe(bytes.length);
    expect(Buffer.compare((await plain.echo(bytes)) as Uint8Array, bytes)).toBe(0);
    expect(await plain.echo('x'.repeat(3_000_000))).toHaveLength(3_000_000);
  });

  test('many large values at once do not mix', async () => {
    const echoes = Array.from({ length: 8 }, async (_, index) => {
      const bytes = new Uint8Array(1_500_000).fill(index);
      const back = (await cluster.grain(Plain, `large${index}`).echo(bytes)) as Uint8Array;
      expect(back.length).toBe(bytes.length);
      expect(back.every((byte) => byte === index)).toBe(true);
    });
    await Promise.all(echoes);
  });

  test('a larger argument than the limit is refused at once, and nothing is sent', async () => {
    const started = performance.now();
    await expect(
      cluster.grain(Plain, 'large').sizeOf(new Uint8Array(LIMITS.callBytes + 1)),
    ).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE', grain: 'Plain/large' });
    expect(performance.now() - started).toBeLessThan(2_000);
  });

  test('a larger result than the limit is refused by name', async () => {
    await expect(cluster.grain(Plain, 'large').bytes(LIMITS.callBytes + 1)).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    });
    expect(await cluster.grain(Plain, 'large').add(1, 2)).toBe(3);
  });

  test('values just below the limit pass', async () => {
    expect(await cluster.grain(Plain, 'large').sizeOf(new Uint8Array(LIMITS.callBytes - 100))).toBe(
      LIMITS.callBytes - 100,
    );
  });
});

describe('any key reaches its grain over NATS', () => {
  test.each([
    'a.b.c',
    '..',
    'two words',
    ' ',
    '*',
    '>',
    'a.>',
    'granary.all',
    '$SYS.>',
    'a/b',
    '100%',
    '%2E',
    'ünïcødé ✓ 日本 👩‍👩‍👧',
    'line\tbreak',
    '__proto__',
    'k'.repeat(512),
    '✓'.repeat(170),
  ])('%j', async (key) => {
    expect(await cluster.grain(Plain, key).myKey()).toBe(key);
    expect((await cluster.grain(Counter, key).increment()).count).toBe(1);
    expect(cluster.activationsOf(Plain, key)).toHaveLength(1);
  });

  test.each(['', 'k'.repeat(513), '✓'.repeat(171)])('but not %j', async (key) => {
    await expect((async () => cluster.grain(Plain, key).myKey())()).rejects.toMatchObject({
      code: 'INVALID_KEY',
    });
  });
});
