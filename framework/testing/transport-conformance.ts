import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { InvalidConfigError } from '../errors.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { systemRandom } from '../system/random.ts';
import type { Endpoint, Lane, Transport } from '../transport/transport.ts';
import { RecordingReceiver } from './recording-receiver.ts';

/** What the cases need of a transport that they test. */
export interface TransportFixture {
  readonly transport: Transport;
  /** A plain call by a client that is no node: `granary.<cluster>.call.…`, and the answer. */
  request(subject: string, payload: Uint8Array): Promise<Uint8Array>;
}

export interface TransportCase {
  readonly name: string;
  run(fixture: TransportFixture): Promise<void>;
}

/**
 * What every transport must do, for any test runner: `for (const { name, run } of transportConformance())
 * it(name, () => run(fixture))`.
 */
export function transportConformance(): TransportCase[] {
  return Object.entries({ ...delivery, ...silos, ...undeliverable, ...lifetime }).map(([name, check]) => ({
    name,
    async run(fixture) {
      await using world = new World(fixture);
      await check(world);
    },
  }));
}

type Check = (world: World) => Promise<void>;

/** The nodes of one case, in clusters that no other case has. */
class World implements AsyncDisposable {
  readonly fixture: TransportFixture;
  readonly cluster = `c-${systemRandom.id()}`;
  readonly #nodes: TestNode[] = [];

  constructor(fixture: TransportFixture) {
    this.fixture = fixture;
  }

  async node(address: NodeAddress, cluster = this.cluster): Promise<TestNode> {
    const receiver = new RecordingReceiver();
    const endpoint = await this.fixture.transport.open({ cluster, address, receiver });
    const node = { address, endpoint, receiver };
    this.#nodes.push(node);
    return node;
  }

  async silo(address: NodeAddress): Promise<TestNode> {
    const node = await this.node(address);
    node.endpoint.serve();
    await node.endpoint.flush();
    return node;
  }

  request(tokens: string, text: string): Promise<string> {
    const subject = `granary.${this.cluster}.call.${tokens}`;
    return this.fixture.request(subject, bytes(text)).then((answer) => Buffer.from(answer).toString());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map(({ endpoint }) => endpoint.close()));
  }
}

interface TestNode {
  readonly address: NodeAddress;
  readonly endpoint: Endpoint;
  readonly receiver: RecordingReceiver;
}

const LANES: readonly Lane[] = ['data', 'control'];
const GONE = 'gone~1';

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/**
 * Waits until everything that `from` sent to `to` so far must have arrived, by sending one more on the same
 * lane.
 */
async function delivered(lane: Lane, from: TestNode, to: TestNode): Promise<void> {
  const mark = `mark ${systemRandom.id()}`;
  from.endpoint.send(lane, to.address, bytes(mark), 999_999);
  await to.receiver.until(() => to.receiver.texts(lane).includes(mark), mark);
}

const delivery: Record<string, Check> = {
  async 'a message reaches its node on the lane it was sent on, both ways, and nobody else'(world) {
    const [a, b, c] = [await world.node('a~1'), await world.node('b~1'), await world.node('c~1')];
    for (const lane of LANES) {
      a.endpoint.send(lane, b.address, bytes(`to b on ${lane}`), 1);
      await b.receiver.until(() => b.receiver.texts(lane).length === 1, 'the message at b');
      b.endpoint.send(lane, a.address, bytes(`to a on ${lane}`), 1);
      await a.receiver.until(() => a.receiver.texts(lane).length === 1, 'the message at a');
      deepEqual(b.receiver.texts(lane), [`to b on ${lane}`]);
      deepEqual(a.receiver.texts(lane), [`to a on ${lane}`]);
      await delivered(lane, a, c);
      equal(c.receiver.texts(lane).length, 1);
    }
  },

  async 'a node can send to itself'(world) {
    const a = await world.node('a~1');
    for (const lane of LANES) {
      a.endpoint.send(lane, a.address, bytes('me'), 1);
      equal(a.receiver.texts(lane).length, 0, 'received within the call to send');
      await a.receiver.until(() => a.receiver.texts(lane).length === 1, 'the message to itself');
    }
    deepEqual(a.receiver.returned, []);
  },

  async '10,000 messages arrive in the order sent'(world) {
    const [a, b] = [await world.node('a~1'), await world.node('b~1')];
    const sent = Array.from({ length: 10_000 }, (_, i) => String(i));
    for (const lane of LANES) {
      for (const [i, text] of sent.entries()) {
        a.endpoint.send(lane, b.address, bytes(text), i + 1);
        if (i % 1_000 === 0) await a.endpoint.flush();
      }
      await b.receiver.until(() => b.receiver.messages.length === sent.length, 'all messages');
      deepEqual(b.receiver.texts(lane), sent);
      b.receiver.messages.length = 0;
    }
    deepEqual(a.receiver.returned, []);
  },

  async 'every byte arrives as it was, also none and as many as fit'(world) {
    const [a, b] = [await world.node('a~1'), await world.node('b~1')];
    const every = Uint8Array.from({ length: 256 }, (_, i) => i);
    const most = new Uint8Array(a.endpoint.maxPayloadBytes).map((_, i) => (i * 7) ^ (i >> 8));
    for (const lane of LANES) {
      for (const payload of [every, new Uint8Array(0), most, every]) {
        b.receiver.messages.length = 0;
        a.endpoint.send(lane, b.address, payload, 1);
        await b.receiver.until(() => b.receiver.messages.length === 1, `${payload.length} bytes`);
        ok(
          Buffer.from(payload).equals(b.receiver.messages[0]?.payload ?? every),
          `${payload.length} bytes changed`,
        );
      }
    }
  },

  async 'a message over the limit is refused at once, and the node lives on'(world) {
    const [a, b] = [await world.silo('a~1'), await world.silo('b~1')];
    const large = new Uint8Array(a.endpoint.maxPayloadBytes + 1);
    throws(() => a.endpoint.send('data', b.address, large, 1), /limit/);
    throws(() => a.endpoint.broadcast(large), /limit/);
    throws(() => a.endpoint.sendToAnySilo(large, 1), /limit/);
    for (const lane of LANES) await delivered(lane, a, b);
    ok(a.endpoint.connected);
  },

  async 'a broadcast reaches every node of the cluster but its sender, once'(world) {
    const nodes = [await world.node('a~1'), await world.node('b~1'), await world.node('c~1')] as const;
    const [a, b, c] = nodes;
    a.endpoint.broadcast(bytes('all'));
    for (const node of [b, c]) await delivered('control', a, node);
    await delivered('control', b, a);
    for (const node of [b, c])
      equal(node.receiver.texts('control').filter((text) => text === 'all').length, 1);
    ok(!a.receiver.texts('control').includes('all'));
    ok(!nodes.some((node) => node.receiver.texts('data').includes('all')));
  },

  async 'two clusters on one network never meet'(world) {
    const other = `${world.cluster}-2`;
    const a = await world.silo('a~1');
    const [stranger, namesake] = [await world.node('s~1', other), await world.node('a~1', other)];
    stranger.endpoint.broadcast(bytes('all'));
    stranger.endpoint.sendToAnySilo(bytes('any'), 7);
    stranger.endpoint.send('data', namesake.address, bytes('hello'), 8);
    await stranger.receiver.until(() => stranger.receiver.returned.length === 1, 'the message to any silo');
    await namesake.receiver.until(
      () => namesake.receiver.texts('data').length === 1,
      'the message to the namesake',
    );
    await delivered('control', a, a);
    deepEqual(a.receiver.texts('data'), []);
    equal(a.receiver.texts('control').length, 1);
  },
};

const silos: Record<string, Check> = {
  async 'a message to any silo reaches exactly one, which serves and is not the sender'(world) {
    const [a, b, c] = [await world.silo('a~1'), await world.silo('b~1'), await world.silo('c~1')];
    const client = await world.node('client~1');
    for (let i = 0; i < 30; i++) a.endpoint.sendToAnySilo(bytes('any'), i + 1);
    const got = (node: TestNode) => node.receiver.texts('control').filter((text) => text === 'any').length;
    await b.receiver.until(() => got(b) + got(c) >= 30, 'all messages at b and c', c.receiver);
    for (const node of [a, b, c, client]) await delivered('control', a, node);
    equal(got(b) + got(c), 30);
    equal(got(a) + got(client), 0);
    ok(got(b) > 0 && got(c) > 0, 'one silo got all');
  },

  async 'a silo that no longer serves gets none, until it serves again'(world) {
    const [a, b, c] = [await world.silo('a~1'), await world.silo('b~1'), await world.silo('c~1')];
    b.endpoint.unserve();
    await b.endpoint.flush();
    for (let i = 0; i < 20; i++) a.endpoint.sendToAnySilo(bytes('any'), i + 1);
    await c.receiver.until(() => c.receiver.texts('control').length === 20, 'all messages at c');
    c.endpoint.unserve();
    b.endpoint.serve();
    await Promise.all([b.endpoint.flush(), c.endpoint.flush()]);
    a.endpoint.sendToAnySilo(bytes('back'), 21);
    await b.receiver.until(() => b.receiver.texts('control').includes('back'), 'the message at b');
    deepEqual(a.receiver.returned, []);
  },

  async 'a plain call by a foreign client is answered by one silo, with the tokens as they were sent'(world) {
    const [a, b] = [await world.silo('a~1'), await world.silo('b~1')];
    await world.node('client~1');
    for (const { receiver } of [a, b]) {
      receiver.answer = ({ tokens, payload, respond }) =>
        respond(bytes(`${tokens.join('|')} ${Buffer.from(payload)}`));
    }
    for (let i = 0; i < 20; i++) {
      equal(await world.request('Counter.a%2Eb%20%C3%A9.add', `[${i}]`), `Counter|a%2Eb%20%C3%A9|add [${i}]`);
    }
    equal(a.receiver.plainCalls + b.receiver.plainCalls, 20);
    ok(a.receiver.plainCalls > 0 && b.receiver.plainCalls > 0, 'one silo got all');
    await rejects(() => world.fixture.request(`granary.${world.cluster}-2.call.Counter.a.add`, bytes('[]')));
  },

  async 'a plain call on its way when the silo stops serving is answered, the next one is refused'(world) {
    const a = await world.silo('a~1');
    const arrived = new Promise<() => void>((resolve) => {
      a.receiver.answer = ({ respond }) => resolve(() => respond(bytes('late')));
    });
    const answer = world.request('Counter.a.get', '[]');
    const respond = await arrived;
    a.endpoint.unserve();
    await a.endpoint.flush();
    respond();
    equal(await answer, 'late');
    await rejects(() => world.request('Counter.a.get', '[]'));
  },
};

const undeliverable: Record<string, Check> = {
  async 'a message to an unknown node comes back at once with its ticket'(world) {
    const a = await world.node('a~1');
    for (const lane of LANES) {
      for (const ticket of [1, 2, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
        a.receiver.returned.length = 0;
        a.endpoint.send(lane, GONE, bytes('x'), ticket);
        deepEqual(a.receiver.returned, [], 'told within the call to send');
        await a.receiver.until(() => a.receiver.returned.length > 0, 'undeliverable', undefined, 1_000);
        deepEqual(a.receiver.returned, [{ lane, to: GONE, ticket }]);
      }
    }
  },

  async 'of many messages only those to a node that is gone come back, each once'(world) {
    const [a, b] = [await world.node('a~1'), await world.node('b~1')];
    for (let i = 1; i <= 1_000; i++) a.endpoint.send('data', i % 2 ? GONE : b.address, bytes('x'), i);
    await a.receiver.until(() => a.receiver.returned.length >= 500, 'all that is undeliverable');
    await delivered('data', a, b);
    deepEqual(
      a.receiver.returned,
      Array.from({ length: 500 }, (_, i) => ({ lane: 'data', to: GONE, ticket: 2 * i + 1 })),
    );
    equal(b.receiver.texts('data').length, 501);
  },

  async 'a message to any silo comes back when none serves'(world) {
    const [a, b] = [await world.silo('a~1'), await world.node('b~1')];
    a.endpoint.sendToAnySilo(bytes('x'), 5);
    await a.receiver.until(() => a.receiver.returned.length > 0, 'undeliverable', undefined, 1_000);
    deepEqual(a.receiver.returned, [{ lane: 'control', to: undefined, ticket: 5 }]);
    deepEqual(b.receiver.texts('control'), []);
  },

  async 'a message to a node that has closed comes back, and one to its next life arrives'(world) {
    const [a, b] = [await world.node('a~1'), await world.silo('b~1')];
    await delivered('data', a, b);
    await b.endpoint.close();
    for (const lane of LANES) a.endpoint.send(lane, b.address, bytes('x'), 3);
    a.endpoint.sendToAnySilo(bytes('x'), 4);
    await a.receiver.until(() => a.receiver.returned.length === 3, 'undeliverable', undefined, 1_000);
    const next = await world.node('b~2');
    await delivered('data', a, next);
    equal(a.receiver.returned.length, 3);
  },
};

const lifetime: Record<string, Check> = {
  async 'close takes in what has arrived, and sends what is pending'(world) {
    const [a, b] = [await world.node('a~1'), await world.node('b~1')];
    const page = new Uint8Array(8_000); // In all, more than sockets hold.
    for (let i = 0; i < 2_000; i++) a.endpoint.send('data', b.address, page, 1);
    await a.endpoint.flush();
    for (let i = 0; i < 2_000; i++) b.endpoint.send('data', a.address, page, 1);
    await b.endpoint.close();
    equal(b.receiver.messages.length, 2_000);
    await a.receiver.until(() => a.receiver.messages.length === 2_000, 'what b sent before it closed');
  },

  async 'a closed node hears nothing more, and may be closed again'(world) {
    const [a, b] = [await world.silo('a~1'), await world.silo('b~1')];
    await Promise.all([b.endpoint.close(), b.endpoint.close()]);
    await b.endpoint.close();
    const heard = b.receiver.events;
    ok(!b.endpoint.connected);
    a.endpoint.broadcast(bytes('x'));
    a.endpoint.send('data', b.address, bytes('x'), 1);
    for (const lane of LANES) b.endpoint.send(lane, a.address, bytes('from the grave'), 1);
    b.endpoint.broadcast(bytes('from the grave'));
    await a.receiver.until(() => a.receiver.returned.length === 1, 'undeliverable');
    for (const lane of LANES) await delivered(lane, a, a);
    equal(b.receiver.events, heard);
    for (const lane of LANES) ok(!a.receiver.texts(lane).includes('from the grave'));
  },

  async 'after flush a node is there for everyone, and what it sent has left'(world) {
    const a = await world.node('a~1');
    for (let round = 0; round < 10; round++) {
      const b = await world.silo(`b~${round}`);
      a.endpoint.send('data', b.address, bytes('x'), 1);
      a.endpoint.send('control', b.address, bytes('x'), 2);
      a.endpoint.sendToAnySilo(bytes('any'), 3);
      await b.receiver.until(() => b.receiver.messages.length === 3, 'what was sent after flush');
      await b.endpoint.close();
    }
    deepEqual(a.receiver.returned, []);
  },

  async 'names that no subject can hold are refused'(world) {
    const open = (cluster: string, address: string) =>
      world.fixture.transport.open({ cluster, address, receiver: new RecordingReceiver() });
    for (const name of ['', 'a.b', 'a b', '*', '>', 'é', 'x'.repeat(65)]) {
      await rejects(() => open(name, 'a~1'), InvalidConfigError);
    }
    for (const address of ['', 'a.b', 'a b', '*', '>', 'é']) {
      await rejects(() => open(world.cluster, address), InvalidConfigError);
    }
  },
};
