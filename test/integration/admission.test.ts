import { InvalidConfigError, Silo } from 'granary';
import { nats } from 'granary/nats';
import { TestCluster } from 'granary/testing';
import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pack, unpack } from '../../framework/serialization/codec.ts';
import { type NatsServer, startNats } from '../support/nats-server.ts';
import { Counter, Plain } from './programs/grains.ts';
import { SiloProcess } from './silo-process.ts';

let server: NatsServer;
const grains = [Counter, Plain];
const transport = () => nats({ servers: server.url });

beforeAll(async () => {
  server = await startNats();
});

afterAll(() => server.stop());

describe('on one NATS server', () => {
  test('two clusters never meet', async () => {
    await using shop = await TestCluster.start({
      grains,
      transport: transport(),
      options: { cluster: 'shop' },
    });
    await using bank = await TestCluster.start({
      ...{ silos: ['a', 'b'], grains, transport: transport() },
      options: { cluster: 'bank' },
    });
    expect(shop.silo('a').silos).toEqual(['a', 'b', 'c']);
    expect(bank.silo('a').silos).toEqual(['a', 'b']);
    for (let i = 1; i <= 3; i++) expect((await shop.grain(Counter, 'x').increment()).count).toBe(i);
    expect((await bank.grain(Counter, 'x').increment()).count).toBe(1);
    expect(shop.activationsOf(Counter, 'x')).toHaveLength(1);
    expect(bank.activationsOf(Counter, 'x')).toHaveLength(1);
  });
});

describe('a silo is refused by name', () => {
  test('with another number of partitions', async () => {
    const options = { cluster: 'sizes' };
    await using cluster = await TestCluster.start({ grains, transport: transport(), options });
    const start = Silo.start({
      ...{ cluster: 'sizes', name: 'd', grains, transport: transport(), partitions: 256, log: 'silent' },
    });
    await expect(start).rejects.toThrow(InvalidConfigError);
    await expect(start).rejects.toThrow(/\b256\b.*\b1024\b/);
    expect((await cluster.grain(Counter, 'x').increment()).count).toBe(1);
    expect(cluster.silo('a').silos).toEqual(['a', 'b', 'c']);
  });

  test('with another version of the protocol, by a cluster of this one', async () => {
    const options = { cluster: 'present' };
    await using _cluster = await TestCluster.start({ grains, transport: transport(), options });
    const connection = await connect({ servers: server.url });
    const prefix = 'granary.present';
    const stranger = 'later~1';
    const answers = connection.subscribe(`${prefix}.control.${stranger}`);
    connection.publish(
      `${prefix}.any`,
      pack([2, 'join', stranger, 7, { entry: {}, partitions: 1024 }], 'join'),
    );
    for await (const { data } of answers) {
      const [protocol, kind, from, request, body] = unpack(data) as unknown[];
      expect([protocol, kind, request]).toEqual([1, 'refusal', 7]);
      expect(from).toMatch(/^[abc]~/);
      expect(body).toMatch(/\b1\b.*\b2\b|\b2\b.*\b1\b/);
      break;
    }
    await connection.close();
  });

  test('with this version of the protocol, by a cluster of another one', async () => {
    const connection = await connect({ servers: server.url });
    connection.subscribe('granary.future.any', {
      queue: 'silos',
      callback: (_error, { data }) => {
        const [, , from, request] = unpack(data) as unknown[];
        const text = 'the cluster speaks protocol 2';
        connection.publish(
          `granary.future.control.${from}`,
          pack([2, 'refusal', 'x~1', request, text], 'refusal'),
        );
      },
    });
    await connection.flush();
    const start = Silo.start({ cluster: 'future', name: 'a', grains, transport: transport(), log: 'silent' });
    await expect(start).rejects.toThrow(InvalidConfigError);
    await expect(start).rejects.toThrow(/protocol 2, this node speaks 1/);
    await connection.close();
  });

  test('with a name that runs already; at once admitted when that process was killed', async () => {
    const options = { cluster: 'names', servers: server.url };
    const [a, b] = [
      await SiloProcess.start({ ...options, name: 'a' }),
      await SiloProcess.start({ ...options, name: 'b' }),
    ];
    const error = await SiloProcess.refused({ ...options, name: 'b' });
    expect(error).toMatchObject({ name: 'InvalidConfigError', code: 'INVALID_CONFIG' });
    expect(error.message).toMatch(/'b' is running/);
    expect((await b.state()).present).toHaveLength(2);

    b.kill9();
    const killedAt = performance.now();
    const again = await SiloProcess.start({ ...options, name: 'b' });
    console.log(`started again ${(performance.now() - killedAt).toFixed(0)} ms after kill -9`);
    // The others did not have to give the earlier one up for its silence first.
    const reasons = (await a.state()).events.flatMap((event) =>
      event.type === 'siloSuspected' ? [event.reason] : [],
    );
    expect(reasons.filter((reason) => reason.startsWith('silent'))).toEqual([]);
    await expect
      .poll(async () => [(await a.state()).present, (await a.state()).settled], { timeout: 10_000 })
      .toEqual([(await again.state()).present, true]);
    expect((await a.state()).present).toHaveLength(2);
    for (const silo of [a, again]) await silo.stop();
  });
});
