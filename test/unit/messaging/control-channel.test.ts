import fc from 'fast-check';
import { beforeEach, describe, expect, it, test } from 'vitest';
import { InvalidConfigError, SiloUnavailableError } from '../../../framework/errors.ts';
import { ControlChannel, PROTOCOL } from '../../../framework/messaging/control-channel.ts';
import { RuntimeEvents } from '../../../framework/observability/events.ts';
import { pack, unpack } from '../../../framework/serialization/codec.ts';
import type { Endpoint } from '../../../framework/transport/transport.ts';
import { ManualClock } from '../../support/manual-clock.ts';

type Message = [protocol: number, kind: string, from: string, request: number, body: unknown];

interface Sent {
  readonly to: string | undefined;
  readonly ticket: number;
  readonly message: Message;
}

let clock: ManualClock;
let channel: ControlChannel;
let sent: Sent[];
let dropped: string[];

beforeEach(() => {
  clock = new ManualClock();
  sent = [];
  dropped = [];
  const events = new RuntimeEvents();
  events.subscribe((event) => {
    if (event.type === 'messageDropped') dropped.push(event.reason);
  });
  channel = new ControlChannel('a~1', clock, events);
  const note = (to: string | undefined, payload: Uint8Array, ticket: number) =>
    void sent.push({ to, ticket, message: unpack(payload) as Message });
  const endpoint: Partial<Endpoint> = {
    maxPayloadBytes: 1_000,
    send: (_lane, to, payload, ticket) => note(to, payload, ticket),
    sendToAnySilo: (payload, ticket) => note(undefined, payload, ticket),
  };
  channel.attach(endpoint as Endpoint);
  channel.on('echo', (from, body) => [from, body]);
});

const receive = (...message: unknown[]) => channel.receive(pack(message, 'x'));
const last = () => sent.at(-1) as Sent;

describe('what is larger than a message', () => {
  const large = 'x'.repeat(1_000);

  test('is dropped and counted, a question fails, an answer is refused: nothing throws', async () => {
    channel.send('b~1', 'beat', large);
    await expect(channel.request('b~1', 'ping', large, 100)).rejects.toThrow(/larger than one message/);
    expect(sent).toEqual([]);
    channel.on('large', () => large);
    receive(PROTOCOL, 'large', 'b~1', 7, null);
    expect(last().message.slice(1, 4)).toEqual(['refusal', 'a~1', 7]);
    expect(dropped).toHaveLength(3);
  });
});

describe('a request', () => {
  test('is answered by who was asked, once; strangers are not heard', async () => {
    const answer = channel.request('b~1', 'ping', 'hello', 100);
    const [, , , request] = last().message;
    expect(last().message).toEqual([PROTOCOL, 'ping', 'a~1', request, 'hello']);
    receive(PROTOCOL, 'reply', 'c~1', request, 'forged');
    receive(PROTOCOL, 'reply', 'b~1', request + 1, 'of another');
    receive(PROTOCOL, 'reply', 'b~1', request, 'right');
    receive(PROTOCOL, 'reply', 'b~1', request, 'twice');
    expect(await answer).toBe('right');
    expect(clock.timers).toBe(0);
  });

  test('to whichever silo is answered by whoever it was', async () => {
    const answer = channel.requestAnySilo('view', null, 100);
    expect(last().to).toBeUndefined();
    receive(PROTOCOL, 'reply', 'z~9', last().ticket, 'here');
    expect(await answer).toBe('here');
  });

  test('fails by name when nobody listens, at once, and when nobody answers, at its end', async () => {
    const undeliverable: string[] = [];
    channel.onUndeliverable = (to) => undeliverable.push(to);
    const first = channel.request('b~1', 'ping', null, 100);
    channel.undeliverable('b~1', last().ticket);
    await expect(first).rejects.toThrow(SiloUnavailableError);
    expect(undeliverable).toEqual(['b~1']);
    const second = channel.request('b~1', 'ping', null, 100);
    clock.advance(100);
    await expect(second).rejects.toThrow(/b~1 said nothing for 100 ms \('ping'\)/);
    const third = channel.requestAnySilo('view', null, 100);
    channel.undeliverable(undefined, last().ticket);
    await expect(third).rejects.toThrow(/no silo of the cluster is running/);
    expect(clock.timers).toBe(0);
  });

  test('fails with the words of who refused it', async () => {
    const answer = channel.request('b~1', 'join', null, 100);
    receive(PROTOCOL, 'refusal', 'b~1', last().ticket, 'wrong number of partitions');
    await expect(answer).rejects.toThrow(new InvalidConfigError('wrong number of partitions'));
  });

  test('to a silo that speaks another protocol fails and says so', async () => {
    const answer = channel.request('b~1', 'join', null, 100);
    receive(PROTOCOL + 1, 'reply', 'b~1', last().ticket, {});
    await expect(answer).rejects.toThrow(/speaks protocol 2, this node speaks 1/);
  });

  test('that waits when the channel closes fails, and so does any after that', async () => {
    const waiting = channel.request('b~1', 'ping', null, 100);
    channel.close();
    await expect(waiting).rejects.toThrow(/stopping/);
    await expect(channel.request('b~1', 'ping', null, 100)).rejects.toThrow(/stopping/);
    channel.send('b~1', 'beat', 1);
    expect([sent.length, clock.timers]).toEqual([1, 0]);
  });
});

describe('a message', () => {
  test('goes to the handler of its kind, whose answer goes back when one is wanted', async () => {
    receive(PROTOCOL, 'echo', 'b~1', 7, { x: 1 });
    expect(last()).toMatchObject({ to: 'b~1', message: [PROTOCOL, 'reply', 'a~1', 7, ['b~1', { x: 1 }]] });
    receive(PROTOCOL, 'echo', 'b~1', 0, 'nobody waits');
    expect(sent).toHaveLength(1);
  });

  test('whose handler fails, now or later, is refused to who waits, else counted', async () => {
    channel.on('throws', () => {
      throw new Error('not today');
    });
    channel.on('rejects', () => Promise.reject(new Error('not tomorrow')));
    receive(PROTOCOL, 'throws', 'b~1', 7, null);
    receive(PROTOCOL, 'rejects', 'b~1', 8, null);
    await Promise.resolve();
    await Promise.resolve();
    const refusals = sent.map(({ message }) => message);
    expect(refusals).toEqual([
      [PROTOCOL, 'refusal', 'a~1', 7, 'not today'],
      [PROTOCOL, 'refusal', 'a~1', 8, 'not tomorrow'],
    ]);
    receive(PROTOCOL, 'throws', 'b~1', 0, null);
    expect(dropped).toHaveLength(1);
  });

  test('of another protocol is refused by name to who waits, and dropped', () => {
    receive(PROTOCOL + 1, 'echo', 'b~1', 7, null);
    expect(last().message[4]).toMatch(/protocol/);
    receive(PROTOCOL + 1, 'echo', 'b~1', 0, null);
    expect([sent.length, dropped.length]).toEqual([1, 2]);
  });

  test('of an unknown kind is counted and dropped', () => {
    receive(PROTOCOL, 'x'.repeat(5_000), 'b~1', 0, null);
    expect(dropped).toHaveLength(1);
    expect(dropped[0]?.length).toBeLessThan(100);
  });

  it('that is none is counted and dropped, whatever it is', () => {
    const travels = fc.oneof(
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.dictionary(fc.string(), fc.nat()),
    );
    const whole = fc.oneof(travels, fc.array(travels, { maxLength: 7 })).map((value) => pack(value, 'x'));
    fc.assert(
      fc.property(fc.oneof(whole, fc.uint8Array({ maxLength: 40 })), (payload) => {
        channel.receive(payload);
      }),
      { numRuns: 1_000 },
    );
    expect(dropped.length).toBeGreaterThan(900);
  });
});

test('two handlers of one kind are a mistake', () => {
  expect(() => channel.on('echo', () => {})).toThrow(/two handlers/);
});

describe('by way of another node', () => {
  const last = () => sent[sent.length - 1] as Sent;
  const arriving = (kind: string, from: string, body: unknown) =>
    channel.receive(pack([PROTOCOL, kind, from, 0, body], kind));

  test('goes what is for a node that cannot be reached directly, for a while', () => {
    channel.detour('b~1', 'c~1');
    channel.send('b~1', 'echo', 'hello');
    expect(sent.map(({ to, message }) => [to, message[1]])).toEqual([
      ['b~1', 'echo'],
      ['c~1', 'relay'],
    ]);
    const [to, inner] = last().message[4] as [string, Uint8Array];
    expect([to, unpack(inner)]).toEqual(['b~1', [PROTOCOL, 'echo', 'a~1', 0, 'hello']]);
    clock.advance(5_001);
    channel.send('b~1', 'echo', 'hello');
    expect(sent).toHaveLength(3);
  });

  test('goes the answer to what came that way', () => {
    const request = pack([PROTOCOL, 'echo', 'b~1', 7, 'hello'], 'echo');
    arriving('relayed', 'c~1', [request, true]);
    expect(sent.map(({ to, message }) => [to, message[1]])).toEqual([
      ['b~1', 'reply'],
      ['c~1', 'relay'],
    ]);
  });

  test('goes no answer when its sender does not ask for that', () => {
    const request = pack([PROTOCOL, 'echo', 'b~1', 7, 'hello'], 'echo');
    arriving('relayed', 'c~1', [request, false]);
    expect(sent.map(({ to, message }) => [to, message[1]])).toEqual([['b~1', 'reply']]);
  });

  test('is passed on, one hop, what two others have to say to each other', () => {
    const inner = pack([PROTOCOL, 'echo', 'b~1', 7, 'hello'], 'echo');
    arriving('relay', 'b~1', ['c~1', inner, true]);
    expect(last()).toMatchObject({ to: 'c~1', message: [PROTOCOL, 'relayed', 'a~1', 0, [inner, true]] });
    const nested = pack([PROTOCOL, 'relay', 'b~1', 0, ['d~1', inner, true]], 'relay');
    arriving('relayed', 'c~1', [nested, true]);
    expect(sent.filter(({ to }) => to === 'd~1')).toEqual([]);
  });

  test('nothing is passed on that makes no sense', () => {
    for (const body of [null, ['c~1'], ['not an address', new Uint8Array(3)], ['c~1', 'text']]) {
      arriving('relay', 'b~1', body);
    }
    expect(sent).toEqual([]);
    expect(dropped).toHaveLength(4);
  });

  test('a question is not given up because nobody listens on the direct way', async () => {
    channel.detour('b~1', 'c~1');
    const answer = channel.request('b~1', 'echo', 'hello', 100);
    const [direct] = sent as [Sent];
    channel.undeliverable('b~1', direct.ticket);
    const reply = pack([PROTOCOL, 'reply', 'b~1', direct.message[3], 'hello back'], 'reply');
    arriving('relayed', 'c~1', [reply, false]);
    await expect(answer).resolves.toBe('hello back');
  });
});
