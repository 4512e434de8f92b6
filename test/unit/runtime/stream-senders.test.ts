import { beforeEach, describe, expect, test } from 'vitest';
import { LIMITS } from '../../../framework/limits.ts';
import type { Call } from '../../../framework/rpc/call.ts';
import { ITEM, type Item } from '../../../framework/rpc/frames.ts';
import type { Node } from '../../../framework/rpc/node.ts';
import { StreamSender } from '../../../framework/rpc/stream-sender.ts';
import { StreamSenders } from '../../../framework/runtime/stream-senders.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const READER = 'client~1';
const PATIENCE_MS = LIMITS.streamTickMs * (LIMITS.streamSilentTicks + 1);

let clock: ManualClock;
let told: { to: string; item: Item }[];
let streams: StreamSenders;
let cancelled: number[];
let read: number[];
/** Items that have not left yet. */
let held: Set<Item>;
let withdrawn: number[];

function callOf(id: number, caller = READER): Call {
  const cancel = () => void cancelled.push(id);
  return { id, caller, cancel, onCredit: (count: number) => void read.push(count) } as unknown as Call;
}

function itemOf(index: number, value: unknown = 'x'): Item {
  return [ITEM.streamItem, 1, index, value];
}

/** A stream with items that were sent. */
function streaming(items: number): StreamSender {
  const call = callOf(1);
  streams.add(call);
  const sender = call.sender as StreamSender;
  for (let i = 0; i < items; i++) sender.sent(itemOf(i));
  return sender;
}

const credit = (received: number, asks = false, id: unknown = 1, from = READER) =>
  streams.credit(from, asks ? [ITEM.credit, id, 0, received, 1] : [ITEM.credit, id, 0, received]);
const items = () => told.map(({ item }) => item);
const known = (has: number) => [ITEM.streamKnown, 1, has];

function pass(ms: number): void {
  for (let i = 0; i < ms; i += LIMITS.streamTickMs) clock.advance(LIMITS.streamTickMs);
}

beforeEach(() => {
  clock = new ManualClock();
  told = [];
  cancelled = [];
  read = [];
  held = new Set();
  withdrawn = [];
  const link = {
    send: (to: string, item: Item) => void told.push({ to, item }),
    holds: (_to: string, item: Item) => held.has(item),
    withdraw: (_to: string, stream: number) => void withdrawn.push(stream),
  };
  streams = new StreamSenders({ clock, link } as unknown as Node);
});

describe('the streams that other nodes read here', () => {
  test('send again what has not come when the reader asks, and only then', () => {
    streaming(5);
    credit(2);
    expect(items()).toEqual([]);
    credit(2, true);
    expect(items()).toEqual([itemOf(2), itemOf(3), itemOf(4)]);
  });

  test('do not send again what has not left yet, and say that they are there', () => {
    const sender = streaming(1);
    const large = itemOf(1, new Uint8Array(1_000_000));
    sender.sent(large);
    held.add(large);
    credit(1, true);
    expect(items()).toEqual([known(1)]);
    held.clear();
    credit(1, true);
    credit(1, true);
    expect(items()).toContain(large);
  });

  test('take back what has not left yet when the reader leaves', () => {
    streaming(1);
    expect(streams.cancel(READER, 1)).toBe(true);
    expect(withdrawn).toEqual([1]);
  });

  test('say that they are there to a reader that asks and has all', () => {
    streaming(3);
    credit(3, true);
    expect(items()).toEqual([known(1)]);
  });

  test('tell the producer how far its reader is', () => {
    streaming(3);
    streams.credit(READER, [ITEM.credit, 1, 2, 3]);
    expect(read).toEqual([2]);
  });

  test('are kept when they have ended until the end has come, too', () => {
    const sender = streaming(2);
    const end: Item = [ITEM.streamEnd, 1, 2];
    sender.sentEnd(end);
    credit(2, true);
    expect(items()).toEqual([end]);
    credit(3);
    expect(streams.size).toBe(0);
    credit(3, true);
    expect(items().at(-1)).toEqual(known(0));
  });

  test('take late and senseless news calmly', () => {
    const sender = streaming(4);
    credit(3);
    credit(1);
    credit(100);
    expect(sender.next).toBe(4);
    expect(credit(-1)).toBe(false);
    expect(credit(0, false, 'x')).toBe(false);
    credit(0, true, 1, 'other~1');
    expect(told).toEqual([{ to: 'other~1', item: known(0) }]);
  });

  test('end when their reader leaves, when its silo is lost, and when nothing is heard of it', () => {
    streaming(1);
    expect(streams.cancel('other~1', 1)).toBe(false);
    expect(streams.cancel(READER, 1)).toBe(true);
    expect(streams.cancel(READER, 1)).toBe(false);
    streams.add(callOf(2));
    streams.add(callOf(3, 'a~1'));
    streams.lost('a~1');
    expect(cancelled).toEqual([1, 3]);
    pass(PATIENCE_MS - LIMITS.streamTickMs);
    credit(0, false, 2);
    pass(PATIENCE_MS - LIMITS.streamTickMs);
    expect(cancelled).toEqual([1, 3]);
    pass(LIMITS.streamTickMs);
    expect(cancelled).toEqual([1, 3, 2]);
    expect([streams.size, clock.timers]).toEqual([0, 0]);
  });

  test('that have ended are not cancelled when their end is never confirmed', () => {
    streaming(1).sentEnd([ITEM.streamEnd, 1, 1]);
    pass(PATIENCE_MS);
    expect([streams.size, cancelled]).toEqual([0, []]);
  });

  test('say where a call went that was passed on, for as long as its reader may ask', () => {
    const call = callOf(1);
    const word: Item = [ITEM.moved, 1, 'b~1', 1];
    streams.add(call);
    streams.passedOn(call, word);
    expect(call.sender).toBeUndefined();
    credit(0, true);
    clock.advance(2 * PATIENCE_MS);
    streams.passedOn(callOf(2), word);
    credit(0, true);
    expect(items()).toEqual([word, known(0)]);
    streams.add(call); // it comes back
    streams.remove(call);
    credit(0, true);
    expect(items().at(-1)).toEqual(known(0));
  });

  test('are forgotten when the silo stops', () => {
    streaming(1);
    streams.stop();
    expect([streams.size, clock.timers]).toEqual([0, 0]);
  });
});

describe('the room that a reader has', () => {
  const heavy = new Uint8Array(LIMITS.streamWindowBytes / 2);

  test('is used up by the bytes of the window, and grows with what is read, not with what has come', () => {
    const sender = new StreamSender();
    const rooms: boolean[] = [];
    for (let i = 0; i < 2; i++) {
      sender.sent(itemOf(i, heavy));
      rooms.push(sender.hasRoom);
    }
    sender.confirm(2);
    rooms.push(sender.hasRoom);
    sender.wasRead(1);
    rooms.push(sender.hasRoom);
    expect(rooms).toEqual([true, false, false, true]);
  });

  test('is not looked at for items that fit into the window as many as it has places', () => {
    const sender = new StreamSender();
    const light = new Uint8Array(LIMITS.streamWindowBytes / LIMITS.streamWindow - 1);
    for (let i = 0; i < 2 * LIMITS.streamWindow; i++) sender.sent(itemOf(i, light));
    expect(sender.hasRoom).toBe(true);
  });
});

describe('what is sent again', () => {
  const half = new Uint8Array(LIMITS.streamAgainBytes / 2);

  test('is what fits into one message', () => {
    const sender = new StreamSender();
    for (let i = 0; i < 4; i++) sender.sent(itemOf(i, half));
    expect(sender.again()).toHaveLength(2);
    sender.confirm(3);
    expect(sender.again()).toEqual([itemOf(3, half)]);
  });

  test('is a large item after one, two, four, … questions: it may be under way still', () => {
    const sender = new StreamSender();
    const large = [0, 1].map((index) => itemOf(index, new Uint8Array(LIMITS.streamAgainBytes + 1)));
    for (const item of large) sender.sent(item);
    const sent = Array.from({ length: 8 }, () => sender.again().length);
    expect(sent).toEqual([1, 1, 0, 1, 0, 0, 0, 1]);
    sender.confirm(1);
    expect(sender.again()).toEqual([large[1]]);
  });
});
