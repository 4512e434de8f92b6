import { randomBytes } from 'node:crypto';
import { Grain, grain, type IncomingInterceptor, method, reminder } from 'granary';
import { nats } from 'granary/nats';
import { TestCluster } from 'granary/testing';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type NatsServer, startNats } from '../support/nats-server.ts';
import { Counter, Plain } from './programs/grains.ts';

@grain()
class Checked extends Grain {
  @method({ args: [z.coerce.date()] })
  async year(at: Date): Promise<string> {
    return `${at.getUTCFullYear()} for ${this.context.request.user}`;
  }

  @reminder()
  async daily(): Promise<void> {}
}

const CLUSTER = `plain-${randomBytes(4).toString('hex')}`;

let server: NatsServer;
let cluster: TestCluster;
let connection: NatsConnection;

beforeAll(async () => {
  server = await startNats();
  const transport = nats({ servers: server.url });
  const incoming: IncomingInterceptor = (call, next) => {
    if (call.type === 'Checked') call.request = { user: 'somebody', ...call.request };
    return next();
  };
  const options = { cluster: CLUSTER, interceptors: { incoming: [incoming] } };
  cluster = await TestCluster.start({ grains: [Counter, Plain, Checked], transport, options });
  connection = await connect({ servers: server.url });
});

afterAll(async () => {
  await connection.close();
  await cluster[Symbol.asyncDispose]();
  await server.stop();
});

/** What any NATS client can do: nothing here knows Granary. */
async function request(tail: string, payload = ''): Promise<Record<string, unknown>> {
  const reply = await connection.request(`granary.${CLUSTER}.call.${tail}`, Buffer.from(payload), {
    timeout: 10_000,
  });
  return JSON.parse(reply.string()) as Record<string, unknown>;
}

function errorOf(answer: Record<string, unknown>): { code: string; message: string; retryable?: boolean } {
  expect(Object.keys(answer)).toEqual(['error']);
  return answer.error as { code: string; message: string; retryable?: boolean };
}

describe('the plain NATS door', () => {
  test('runs a method and answers with its result', async () => {
    expect(await request('Plain.page.add', '[2, 3]')).toEqual({ ok: 5 });
    expect(await request('Plain.page.echo', '[{"a":[1,"x",null,true]}]')).toEqual({
      ok: { a: [1, 'x', null, true] },
    });
  });

  test('passes schemas and interceptors like all others', async () => {
    expect(await request('Checked.x.year', '["2026-11-23"]')).toEqual({ ok: '2026 for somebody' });
    expect(errorOf(await request('Checked.x.year', '["soon"]'))).toMatchObject({
      ...{ code: 'INVALID_ARGUMENTS', retryable: false, grain: 'Checked/x' },
      issues: [{ path: 'args[0]' }],
    });
    const many = errorOf(await request('Checked.x.year', '["2026-11-23", 1]'));
    expect(many.message).toContain('args[1]: there are 2 arguments, the method takes 1');
  });

  test('takes no payload for no arguments, and answers null for nothing', async () => {
    expect(await request('Plain.page.myKey')).toEqual({ ok: 'page' });
    expect(await request('Plain.page.echo', '[]')).toEqual({ ok: null });
  });

  test('reaches the same grain that Granary reaches', async () => {
    const first = await request('Counter.shared.increment', '[]');
    expect(first).toMatchObject({ ok: { count: 1 } });
    expect((await cluster.grain(Counter, 'shared').increment()).count).toBe(2);
    expect(await request('Counter.shared.increment')).toMatchObject({ ok: { count: 3 } });
  });

  test.each(['a.b.c', 'two words', 'ünïcødé ✓ 日本', '*', '>', '100%', 'a/b', '$SYS', '-'])(
    'takes the key %j percent-encoded',
    async (key) => {
      const token = encodeURIComponent(key).replaceAll('.', '%2E').replaceAll('*', '%2A');
      expect(await request(`Plain.${token}.myKey`)).toEqual({ ok: key });
    },
  );

  test('says what is wrong with a payload that is no JSON, or no array', async () => {
    for (const payload of ['{', 'nonsense', '[1,', '\u0000', '"']) {
      expect(errorOf(await request('Plain.page.echo', payload)).message, payload).toMatch(/not JSON/);
    }
    for (const payload of ['{}', '1', '"text"', 'null']) {
      expect(errorOf(await request('Plain.page.echo', payload)).message, payload).toMatch(/not an array/);
    }
  });

  test.each([
    ['Nothing.page.echo', 'GRAIN_TYPE_NOT_FOUND'],
    ['Plain.page.nothing', 'METHOD_NOT_FOUND'],
    ['Plain.page.notCallable', 'METHOD_NOT_FOUND'],
    ['Plain.page.constructor', 'METHOD_NOT_FOUND'],
    ['Plain.page.__proto__', 'METHOD_NOT_FOUND'],
    ['Plain.page.toString', 'METHOD_NOT_FOUND'],
    ['Counter.page.save', 'METHOD_NOT_FOUND'],
    ['Plain.page', 'INVALID_KEY'],
    ['Plain.page.echo.more', 'INVALID_KEY'],
    ['Plain.%zz.echo', 'INVALID_KEY'],
    [`Plain.${'k'.repeat(513)}.echo`, 'INVALID_KEY'],
  ])('answers %s with %s', async (tail, code) => {
    expect(errorOf(await request(tail, '[]'))).toMatchObject({
      code,
      message: expect.stringMatching(/.{10,}/),
    });
  });

  test.each(['$remind%2Edaily', '%24remind%2Edaily'])(
    'is closed to what only the runtime calls: %s',
    async (name) => {
      expect(await request(`Checked.k.${name}`)).toMatchObject({
        error: {
          code: 'METHOD_NOT_FOUND',
          message: expect.stringMatching(/such a name is the runtime's own$/),
        },
      });
    },
  );

  test('answers what a grain throws by name', async () => {
    expect(errorOf(await request('Plain.page.fail', '["too far"]'))).toMatchObject({
      name: 'RangeError',
      message: 'too far',
    });
  });

  test('says what JSON cannot: an answer that is too large, bytes as base64', async () => {
    expect(await request('Plain.page.bytes', '[3]')).toEqual({
      ok: Buffer.from([7, 7, 7]).toString('base64'),
    });
    expect(errorOf(await request('Plain.page.bytes', '[2000000]'))).toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    });
    expect(await request('Plain.page.add', '[1, 1]')).toEqual({ ok: 2 });
  });

  test('is answered by the silos that are left when one after the other goes', async () => {
    await cluster.stop('a');
    await cluster.stop('b');
    for (let i = 0; i < 5; i++) expect(await request('Plain.page.add', `[${i}, 1]`)).toEqual({ ok: i + 1 });
    await cluster.start('a');
    await cluster.start('b');
  });
});
