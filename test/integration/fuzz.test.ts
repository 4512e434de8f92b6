import { type RuntimeEvent, Silo } from 'granary';
import { nats } from 'granary/nats';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FRAME, ITEM } from '../../framework/rpc/frames.ts';
import { decodeError, pack, unpack } from '../../framework/serialization/codec.ts';
import { decodeFrame, encodeFrame } from '../../framework/serialization/frame.ts';
import { runtimeOf } from '../../framework/silo.ts';
import { type NatsServer, startNats } from '../support/nats-server.ts';
import { seeded } from '../support/seeded.ts';
import { Counter, Plain } from './programs/grains.ts';

const CLUSTER = 'fuzz';
const SEED = Number(process.env.FUZZ_SEED ?? 20_240_917);
const STRANGER = 'stranger~1';

let server: NatsServer;
let silos: Silo[];
let connection: NatsConnection;
let events: RuntimeEvent[];
/** Real messages, as a listener on the wire sees them. */
let seen: { subject: string; data: Uint8Array }[];

beforeAll(async () => {
  server = await startNats();
  connection = await connect({ servers: server.url });
  seen = [];
  connection.subscribe(`granary.${CLUSTER}.>`, {
    callback: (_error, { subject, data }) => {
      if (data.length > 0 && seen.length < 2_000) seen.push({ subject, data: Uint8Array.from(data) });
    },
  });
  await connection.flush();
  silos = [];
  for (const name of ['a', 'b']) {
    const transport = nats({ servers: server.url });
    const silo = await Silo.start({
      cluster: CLUSTER,
      name,
      grains: [Counter, Plain],
      transport,
      log: 'silent',
    });
    silo.subscribe((event) => events.push(event));
    silos.push(silo);
  }
});

beforeEach(() => {
  events = [];
});

afterAll(async () => {
  await Promise.all(silos.map((silo) => silo.stop()));
  await connection.close();
  await server.stop();
});

/** Whole numbers from 0 on, so that a failure can be replayed. */
function chance(seed: number): (below: number) => number {
  const random = seeded(seed);
  return (below) => Math.floor(random() * below);
}

function subjects(): string[] {
  const nodes = silos.flatMap((silo) => {
    const { address } = runtimeOf(silo).node;
    return [`data.${address}`, `control.${address}`, `return.data.${address}.x.1`];
  });
  return [...nodes, 'all', 'any', 'call.Plain.x.echo', 'call.x', 'call.%.%.%'].map(
    (tail) => `granary.${CLUSTER}.${tail}`,
  );
}

function count(type: RuntimeEvent['type']): number {
  return events.filter((event) => event.type === type).length;
}

/**
 * Whether it is well-formed news that a silo of one of these names has been started again later. Such news
 * ends the silo that is there: who may publish on the cluster's subjects is trusted that far.
 */
function claimsLaterStart(bytes: Uint8Array): boolean {
  let message: unknown;
  try {
    message = unpack(bytes);
  } catch {
    return false;
  }
  const starts = new Map(silos.map((silo) => runtimeOf(silo).node.address.split('~') as [string, string]));
  const claims = (value: unknown): boolean => {
    if (Array.isArray(value)) return value.some(claims);
    if (typeof value !== 'object' || value === null) return false;
    const { name, incarnation } = value as { name?: unknown; incarnation?: unknown };
    const start = starts.get(String(name));
    if (start === undefined) return Object.values(value).some(claims);
    return typeof incarnation === 'number' && incarnation > Number.parseInt(start, 36);
  };
  return claims(message);
}

/** The silos see each other, and calls to grains on either are answered. */
async function expectAlive(): Promise<void> {
  await connection.flush();
  const [a, b] = silos as [Silo, Silo];
  for (let i = 0; i < 20; i++) {
    expect(await a.grain(Plain, `alive${i}`).add(i, 1)).toBe(i + 1);
    expect(await b.grain(Plain, `alive${i}`).add(i, 2)).toBe(i + 2);
  }
  for (const silo of silos) expect(silo.silos).toEqual(['a', 'b']);
  expect(count('siloSuspected')).toBe(0);
}

describe('hostile messages on every subject', () => {
  test('random bytes are counted and dropped', async () => {
    const next = chance(SEED);
    for (let i = 0; i < 2_000; i++) {
      const bytes = Uint8Array.from({ length: next(64) }, () => next(256));
      for (const subject of subjects()) connection.publish(subject, bytes);
      if (i % 100 === 0) await connection.flush();
    }
    await expectAlive();
    expect(count('messageDropped')).toBeGreaterThan(4_000);
  });

  test('real messages that were cut or changed do no harm', async () => {
    const [a, b] = silos as [Silo, Silo];
    for (let i = 0; i < 30; i++) {
      await a.grain(Counter, `real${i}`).increment();
      await b.grain(Plain, `real${i}`).echo({ some: ['value', i, new Date(i), new Map([[1, 2]])] });
    }
    await connection.flush();
    const real = seen.filter(({ subject }) => !subject.includes('.return.'));
    expect(real.length).toBeGreaterThan(100);
    const next = chance(SEED + 1);
    for (let i = 0; i < 4_000; i++) {
      const { subject, data } = real[next(real.length)] as { subject: string; data: Uint8Array };
      const bytes = next(2) === 0 ? data.slice(0, next(data.length)) : Uint8Array.from(data);
      for (let flips = next(4); flips >= 0 && bytes.length > 0; flips--)
        bytes[next(bytes.length)] = next(256);
      if (!claimsLaterStart(bytes)) connection.publish(subject, bytes);
      if (i % 100 === 0) await connection.flush();
    }
    await connection.flush();
    expect(count('siloReplaced')).toBe(0);
    expect(count('messageDropped')).toBeGreaterThan(500);
    for (const [silo, address] of silos.map((each) => [each, runtimeOf(each).node.address] as const)) {
      expect(await silo.grain(Plain, 'after').add(1, 1), address).toBe(2);
    }
  });

  test.each([
    ['nothing', []],
    ['no sender', [FRAME]],
    ['a sender that is no text', [FRAME, 7, 1, [ITEM.call, 1, 'Plain/x', 'add', [1, 2], 1_000]]],
    ['another version', [99, STRANGER, 1, [ITEM.call, 1, 'Plain/x', 'add', [1, 2], 1_000]]],
    ['no number', [FRAME, STRANGER, [ITEM.call, 1, 'Plain/x', 'add', [1, 2], 1_000]]],
    ['an item that is none', [FRAME, STRANGER, 1, 'item', 7, null]],
    ['an unknown kind of item', [FRAME, STRANGER, 2, [77, 1]]],
    ['an id that is none', [FRAME, STRANGER, 3, [ITEM.call, -1, 'Plain/x', 'add', [1, 2], 1_000]]],
    ['a grain that is none', [FRAME, STRANGER, 4, [ITEM.call, 1, '../../etc', 'add', [1, 2], 1_000]]],
    ['a deadline that is none', [FRAME, STRANGER, 5, [ITEM.call, 1, 'Plain/x', 'add', [1, 2], Number.NaN]]],
    ['arguments that are none', [FRAME, STRANGER, 6, [ITEM.call, 1, 'Plain/x', 'add', 'text', 1_000]]],
    ['a sender that cannot be a subject', [FRAME, 'a.>', 1, [ITEM.call, 1, 'Plain/x', 'add', [1, 2], 1_000]]],
    ['a sender with spaces', [FRAME, 'a b\r\nPUB x 0', 1, [ITEM.call, 1, 'Plain/x', 'add', [1, 2], 1_000]]],
    ['a part out of order', [2, STRANGER, 1, 5, 3, new Uint8Array(3)]],
    ['parts without end', [2, STRANGER, 1, 0, 2 ** 40, new Uint8Array(3)]],
  ])('a frame with %s is survived', async (_what, frame) => {
    for (const silo of silos) {
      connection.publish(`granary.${CLUSTER}.data.${runtimeOf(silo).node.address}`, encodeFrame(frame));
    }
    await expectAlive();
  });
});

describe('a foreign frame', () => {
  // A number that has come already is a duplicate.
  let frames = 1_000;

  /** Calls a grain as another implementation of the protocol would. */
  async function call(target: string, method: string, args: unknown): Promise<unknown[]> {
    const reply = connection.subscribe(`granary.${CLUSTER}.data.${STRANGER}`, { max: 3 });
    const item = [ITEM.call, 5, target, method, args, 5_000];
    const to = runtimeOf(silos[0] as Silo).node.address;
    connection.publish(`granary.${CLUSTER}.data.${to}`, encodeFrame([FRAME, STRANGER, ++frames, item]));
    for await (const { data } of reply) {
      const [, , , ...items] = decodeFrame(data) as [number, string, number, ...unknown[][]];
      const answer = items.find(([kind]) => kind !== ITEM.moved);
      if (!answer) continue;
      reply.unsubscribe();
      return answer;
    }
    throw new Error('no answer');
  }

  test('gets the answer of a method', async () => {
    expect(await call('Plain/x', 'add', [20, 22])).toEqual([ITEM.value, 5, 42]);
    expect(await call('Plain/x', 'add', pack([20, 23], 'args'))).toEqual([ITEM.value, 5, 43]);
  });

  test.each([
    'constructor',
    '__proto__',
    'save',
    'toString',
    'hasOwnProperty',
    'onActivate',
    'notCallable',
    'key',
    'context',
    'prototype',
    '',
  ])('that asks for %j gets METHOD_NOT_FOUND', async (method) => {
    for (const target of ['Counter/x', 'Plain/x']) {
      const [kind, id, error] = await call(target, method, []);
      expect([kind, id]).toEqual([ITEM.error, 5]);
      expect(decodeError(unpack(error as Uint8Array))).toMatchObject({
        code: 'METHOD_NOT_FOUND',
        grain: target,
      });
    }
  });

  test.each(['constructor/x', '__proto__/x', 'toString/x', 'Nothing/x'])(
    'that asks for the type of %j gets GRAIN_TYPE_NOT_FOUND',
    async (target) => {
      const [kind, , error] = await call(target, 'add', []);
      expect(kind).toBe(ITEM.error);
      expect(decodeError(unpack(error as Uint8Array))).toMatchObject({ code: 'GRAIN_TYPE_NOT_FOUND' });
    },
  );
});
