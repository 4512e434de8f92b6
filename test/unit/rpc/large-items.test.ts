import fc from 'fast-check';
import { beforeEach, describe, expect, it, test } from 'vitest';
import { LIMITS } from '../../../framework/limits.ts';
import { RuntimeEvents } from '../../../framework/observability/events.ts';
import { DataLink } from '../../../framework/rpc/data-link.ts';
import { FRAME, ITEM, type Item, PART, RECEIPT } from '../../../framework/rpc/frames.ts';
import { Pieces } from '../../../framework/rpc/parts.ts';
import { decodeFrame, encodeFrame } from '../../../framework/serialization/codec.ts';
import type { Endpoint } from '../../../framework/transport/transport.ts';
import { ManualClock } from '../../support/manual-clock.ts';

interface Message {
  readonly to: string;
  readonly payload: Uint8Array;
  readonly ticket: number;
}

const [A, B] = ['a~1', 'b~1'];
const MB = 1024 * 1024;
const SILENCE_MS = 2 * LIMITS.partSilenceMs;

let clock: ManualClock;
/** What has left and has not come, in order. */
let wire: Message[];
let links: Map<string, DataLink>;
/** What has come, at b and at a. */
let came: Item[];

function node(address: string): DataLink {
  const link = new DataLink(address, clock, new RuntimeEvents());
  const endpoint = {
    maxPayloadBytes: MB,
    send: (_lane: string, to: string, payload: Uint8Array, ticket: number) => {
      wire.push({ to, payload, ticket });
    },
  };
  link.attach(endpoint as unknown as Endpoint);
  link.onItem = (_from, item) => void came.push(item);
  links.set(address, link);
  return link;
}

let a: DataLink;

beforeEach(() => {
  clock = new ManualClock();
  wire = [];
  came = [];
  links = new Map();
  a = node(A);
  node(B);
});

const kindOf = ({ payload }: Message) => decodeFrame(payload)[0];
const partsIn = (messages: readonly Message[]) => messages.filter((message) => kindOf(message) === PART);

/** Delivers what is on the wire, but for what `loses` says, until nothing is. */
function deliver(loses: (message: Message) => boolean = () => false): void {
  clock.runDeferred();
  for (let message = wire.shift(); message; message = wire.shift()) {
    if (!loses(message)) links.get(message.to)?.receive(message.payload);
    clock.runDeferred();
  }
}

let bytes = 0;
const call = (id: number, target: string, size: number): Item => {
  return [ITEM.call, id, target, 'm', size > 10 ? new Uint8Array(size).fill(++bytes) : [size], 1_000];
};
const value = (id: number, size: number): Item => [ITEM.value, id, size > 10 ? new Uint8Array(size) : size];
const streamItem = (id: number, index: number, size: number): Item => {
  return [ITEM.streamItem, id, index, new Uint8Array(size)];
};
const ids = () => came.map((item) => item[1]);

describe('a large item', () => {
  test('arrives as it was sent, and once', () => {
    const text = 'é'.repeat(2 * MB);
    const items: Item[] = [
      [ITEM.call, 1, 'T/x', 'm', new Uint8Array(9 * MB).fill(3), 50, 2, ['T/y'], null, 'c~1', 1, ['s', 4]],
      [ITEM.call, 2, 'T/z', 'm', [text, 7], 50],
      value(3, 3 * MB),
      [ITEM.value, 4, text],
    ];
    for (const item of items) a.send(B, item);
    deliver();
    // All of it, byte by byte: to compare objects of millions of bytes takes the test library seconds.
    expect(Buffer.compare(encodeFrame(came), encodeFrame(items))).toBe(0);
    expect([wire, clock.timers]).toEqual([[], 1]);
    clock.advance(SILENCE_MS);
    expect(clock.timers).toBe(0);
  });

  test('has few bytes under way at a time, and is overtaken by what is small', () => {
    a.send(B, value(1, 8 * MB));
    clock.runDeferred();
    let most = 0;
    for (let n = 100; came.length < 10; n++) {
      const underWay = partsIn(wire).reduce((sum, { payload }) => sum + payload.length, 0);
      most = Math.max(most, underWay);
      a.send(B, value(n, 1));
      clock.runDeferred();
      for (const message of wire.splice(0, 3)) links.get(message.to)?.receive(message.payload);
    }
    expect(most).toBeLessThan(4 * LIMITS.partsBytes);
    expect(ids()).not.toContain(1);
    deliver();
    expect(ids().at(-1)).toBe(1);
  });

  test('is not overtaken by a later call to the same grain, nor by word that its caller has left', () => {
    a.send(B, call(1, 'T/x', 1));
    a.send(B, call(2, 'T/x', 2 * MB));
    a.send(B, call(3, 'T/x', 1));
    a.send(B, call(4, 'T/y', 1));
    a.send(B, [ITEM.cancel, 2, 'T/x']);
    deliver();
    expect(came.map(([kind, id]) => `${kind}:${id}`)).toEqual(['0:1', '0:4', '0:2', '0:3', '5:2']);
    a.send(B, call(5, 'T/x', 1));
    clock.runDeferred();
    expect(wire.map(kindOf)).toEqual([FRAME]);
  });

  test('is followed by very many calls to the same grain, without looking at each for each', () => {
    const count = 20_000;
    a.send(B, call(0, 'T/x', 100_000));
    const start = performance.now();
    for (let id = 1; id <= count; id++) a.send(B, call(id, 'T/x', 1));
    expect(performance.now() - start).toBeLessThan(800); // else it takes twice as long, and more
    deliver();
    for (let round = 0; came.length <= count && round < count; round++) clock.goRound();
    expect(ids()).toEqual(Array.from({ length: count + 1 }, (_, id) => id));
  });

  test('is not overtaken by a later item of the same stream, nor by its end', () => {
    a.send(B, streamItem(1, 0, 2 * MB));
    a.send(B, streamItem(1, 1, 5));
    a.send(B, [ITEM.streamEnd, 1, 2]);
    a.send(B, streamItem(2, 0, 5));
    deliver();
    expect(came.map(([, id, index]) => `${id}:${index}`)).toEqual(['2:0', '1:0', '1:1', '1:2']);
  });

  test('that fits into no message only because of what is around it keeps its place among the calls', () => {
    const chain = Array.from({ length: 64 }, () => 'x'.repeat(20_000));
    a.send(B, [ITEM.call, 1, 'T/x', 'm', [], 50, 0, chain]);
    a.send(B, call(2, 'T/x', 1));
    deliver();
    expect(ids()).toEqual([1, 2]);
  });

  test('that is sent again while it is under way leaves once', () => {
    const item = streamItem(1, 0, 2 * MB);
    a.send(B, item);
    a.send(B, item);
    clock.runDeferred();
    expect([a.holds(B, item), a.holds(B, streamItem(1, 0, 5))]).toEqual([true, false]);
    a.send(B, item);
    deliver();
    expect(ids()).toEqual([1]);
    expect(a.holds(B, item)).toBe(false);
  });

  test('leaves with all that is pending when the node is about to close', () => {
    a.send(B, value(1, 8 * MB));
    a.send(B, value(2, 8 * MB));
    a.send(B, value(3, 1));
    a.close();
    links.get(B)?.close();
    const sent = wire;
    wire = [];
    node(B);
    for (const { payload } of sent) links.get(B)?.receive(payload);
    expect(ids()).toEqual([3, 1, 2]);
    clock.advance(SILENCE_MS);
    expect(clock.timers).toBe(0);
  });
});

describe('when the network loses something', () => {
  test.each([
    ['one part', PART],
    ['a word of the receiver', RECEIPT],
  ])('a large item arrives once all the same: %s', (_what, kind) => {
    for (let nth = 1; nth <= 12; nth++) {
      came = [];
      a.send(B, value(nth, 300_000));
      a.send(B, value(100 + nth, 300_000));
      let seen = 0;
      deliver((message) => kindOf(message) === kind && ++seen === nth);
      for (let i = 0; i < 4; i++) {
        clock.advance(SILENCE_MS);
        deliver();
      }
      expect(ids()).toEqual([nth, 100 + nth]);
    }
  });

  it('all arrives once, and in the order that matters, while anything may be lost or come twice', () => {
    const sizes = fc.array(fc.constantFrom(1, 40_000, 70_000, 200_000), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(sizes, fc.infiniteStream(fc.nat(9)), (each, dice) => {
        came = [];
        // Small ones that are lost are lost; here they go behind a large one.
        a.send(B, call(0, 'T/x', 100_000));
        each.forEach((size, index) => void a.send(B, call(index + 1, 'T/x', size)));
        for (let i = 0; i < 200 && came.length <= each.length; i++) {
          const twice = (message: Message) => {
            const drawn = dice.next().value;
            if (drawn === 1) links.get(message.to)?.receive(message.payload);
            return drawn === 0;
          };
          deliver(twice);
          clock.advance(LIMITS.partSilenceMs);
        }
        expect(ids()).toEqual(each.map((_, index) => index).concat(each.length));
      }),
      { numRuns: 60 },
    );
  });

  test('a receiver that has let go of the beginning gets it again', () => {
    a.send(B, value(1, 300_000));
    clock.runDeferred();
    for (const message of wire.splice(0, 2)) links.get(B)?.receive(message.payload);
    node(B); // it remembers nothing
    wire.length = 0;
    clock.advance(SILENCE_MS);
    deliver();
    expect(ids()).toEqual([1]);
  });

  test.each([
    ['has no room', true],
    ['has missed the first part', false],
  ])(
    'several parts under way are answered by a receiver that %s, and not all sent again for each',
    (_, full) => {
      // A way as long as an ocean: many parts are under way at a time.
      a.send(B, value(1, 40_000));
      clock.runDeferred();
      clock.advance(60);
      deliver();
      if (full) {
        const part = new Uint8Array(LIMITS.partBytes);
        const count = LIMITS.callBytes / part.length;
        for (const other of ['c~1', 'd~1', 'e~1', 'f~1'])
          links.get(B)?.receive(encodeFrame([PART, other, 1, 0, count, part]));
        wire.length = 0;
      }
      a.send(B, value(2, 4 * MB));
      clock.runDeferred();
      expect(wire.length).toBeGreaterThan(10);
      if (!full) wire.shift();
      for (const { to, payload } of wire.splice(0)) links.get(to)?.receive(payload);
      for (const { to, payload } of wire.splice(0)) links.get(to)?.receive(payload);
      expect(wire).toHaveLength(0);
      if (full) clock.freeze(LIMITS.reassemblyMs);
      clock.advance(SILENCE_MS);
      deliver();
      expect(ids()).toEqual([1, 2]);
    },
  );

  test('a receiver that is never heard of is given up, and nothing is kept for it', () => {
    a.send(B, value(1, 300_000));
    for (let i = 0; i <= LIMITS.partSilentTicks + 1; i++) {
      clock.advance(LIMITS.partSilenceMs);
      deliver(() => true);
    }
    expect(clock.timers).toBe(0);
    a.send(B, value(2, 300_000));
    deliver();
    expect(ids()).toEqual([2]);
  });

  test('a process that was stopped for long does not give its receivers up', () => {
    a.send(B, value(1, 300_000));
    clock.runDeferred();
    clock.freeze(LIMITS.partSilenceMs * (LIMITS.partSilentTicks + 2));
    deliver();
    expect(ids()).toEqual([1]);
  });
});

describe('when nobody receives a large item', () => {
  test('what waits behind it is found by the same ticket, in order to be sent anew', () => {
    const riders = [1, 2, 3].map(() => ({ ticket: 0 }));
    a.send(B, call(1, 'T/x', 2 * MB), riders[0]);
    a.send(B, call(2, 'T/x', 1), riders[1]);
    a.send(B, call(3, 'T/y', 2 * MB), riders[2]);
    clock.runDeferred();
    const { ticket } = wire[0] as Message;
    wire.length = 0;
    a.undeliverable(B, ticket + 100);
    expect(riders.map((rider) => rider.ticket)).toEqual([ticket, 0, 0]);
    a.undeliverable(B, ticket);
    expect(riders.map((rider) => rider.ticket)).toEqual([ticket, ticket, ticket]);
    clock.advance(10 * SILENCE_MS);
    expect([wire.length, clock.timers]).toEqual([0, 0]);
  });

  test('a part that is sent again says nothing about it: it may have been received before', () => {
    const rider = { ticket: 0 };
    a.send(B, call(1, 'T/x', 2 * MB), rider);
    clock.runDeferred();
    const { ticket } = wire[0] as Message;
    wire.length = 0;
    clock.advance(SILENCE_MS);
    expect(rider.ticket).toBe(0);
    a.undeliverable(B, ticket); // late word of the first time
    deliver();
    expect(ids()).toEqual([1]);
  });

  test('nothing is left of it, also when it was a part that was sent again', () => {
    const rider = { ticket: 0 };
    a.send(B, call(1, 'T/x', 2 * MB), rider);
    clock.runDeferred();
    wire.length = 0;
    clock.advance(SILENCE_MS);
    expect(wire).toHaveLength(1);
    a.undeliverable(B, (wire[0] as Message).ticket);
    expect(rider.ticket).toBe(0);
    clock.advance(SILENCE_MS);
    expect(clock.timers).toBe(0);
  });
});

describe('a stream that nobody reads any more', () => {
  test('is broken off in the middle of an item, and what else is on its way goes on', () => {
    a.send(B, streamItem(1, 0, 8 * MB));
    a.send(B, streamItem(1, 1, 8 * MB));
    a.send(B, streamItem(2, 0, 300_000));
    clock.runDeferred();
    for (const message of wire.splice(0, 2)) links.get(message.to)?.receive(message.payload);
    const before = wire.length;
    a.withdraw(B, 1);
    let parts = 0;
    deliver((message) => {
      if (kindOf(message) === PART) parts++;
      return false;
    });
    expect(ids()).toEqual([2]);
    expect(parts).toBeLessThan(before + 300_000 / LIMITS.partBytes + 2);
    expect(a.holds(B, streamItem(1, 0, 5))).toBe(false);
  });
});

it('cuts any items into pieces that are their encoding', () => {
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 9_000, minLength: 3_000 }),
    fc.string(),
    fc.integer(),
    fc.constant(null),
  );
  const items = fc.array(fc.array(content, { minLength: 1, maxLength: 14 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(items, fc.integer({ min: 1, max: 5_000 }), (each, size) => {
      const pieces = new Pieces(each);
      const cut: Uint8Array[] = [];
      for (let at = 0; at < pieces.length; at += size) {
        const frame = pieces.frame([1, 'x'], at, Math.min(at + size, pieces.length));
        cut.push(decodeFrame(frame)[2] as Uint8Array);
      }
      expect(Buffer.compare(encodeFrame(decodeFrame(Buffer.concat(cut))), encodeFrame(each))).toBe(0);
    }),
    { numRuns: 50 },
  );
});
