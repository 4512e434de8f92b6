import { beforeEach, describe, expect, test } from 'vitest';
import { CallCancelledError } from '../../../framework/errors.ts';
import type { Caller } from '../../../framework/grain/reference.ts';
import { LIMITS } from '../../../framework/limits.ts';
import { ITEM } from '../../../framework/rpc/frames.ts';
import type { PendingCall } from '../../../framework/rpc/pending-call.ts';
import { StreamConsumer } from '../../../framework/rpc/stream-consumer.ts';
import { encodeError, pack } from '../../../framework/serialization/codec.ts';

const HALF = LIMITS.streamWindow / 2;

/** What the reader said of itself. */
interface Report {
  readonly read: number;
  readonly received: number;
  readonly asks: boolean;
}

/** The far side of one stream, as the consumer sees it. */
class Door {
  started = 0;
  reports: Report[] = [];
  cancelled: Error[] = [];
  /** How much had come when the stream had come to its end. */
  finished: number | undefined;
  closings = 0;
  failsAtOnce: Error | undefined;
  readonly call = { target: 'T/x', method: 'items' } as PendingCall;
  outcome: StreamConsumer | undefined;

  start(outcome: StreamConsumer): PendingCall | undefined {
    this.started++;
    this.outcome = outcome;
    if (!this.failsAtOnce) return this.call;
    outcome.reject(this.failsAtOnce);
    return undefined;
  }

  report(_call: PendingCall, read: number, received: number, asks: boolean): void {
    this.reports.push({ read, received, asks });
  }

  finish(_call: PendingCall, received: number, error: Error | undefined): void {
    this.finished = received;
    if (error) this.outcome?.reject(error);
    else this.outcome?.resolve();
  }

  cancel(_call: PendingCall, error: Error): void {
    this.cancelled.push(error);
    this.outcome?.reject(error);
  }

  closed(): void {
    this.closings++;
  }

  /** Items come from the same node. */
  send(values: readonly unknown[]): void {
    for (const value of values) this.outcome?.push(value);
  }

  /** An item comes from another node. */
  item(index: unknown, value: unknown): void {
    this.outcome?.arrived([ITEM.streamItem, 1, index, value]);
  }

  end(index: number, error?: Error): void {
    const packed = error ? [pack(encodeError(error), 'error')] : [];
    this.outcome?.arrived([ITEM.streamEnd, 1, index, ...packed]);
  }
}

let door: Door;
let stream: StreamConsumer;
beforeEach(() => {
  door = new Door();
  stream = new StreamConsumer({} as Caller, door);
});

const item = (value: unknown) => ({ done: false, value });
const end = { done: true, value: undefined };

describe('the reading end of a stream', () => {
  test('sends the call when the first item is asked for, and once', async () => {
    expect(door.started).toBe(0);
    const asked = [stream.next(), stream.next(), stream.next()];
    door.send(['a', 'b']);
    door.outcome?.resolve();
    expect(await Promise.all(asked)).toEqual([item('a'), item('b'), end]);
    expect(await stream.next()).toEqual(end);
    expect(door.started).toBe(1);
  });

  test('gives all items before the end, and before an error, which comes once', async () => {
    const first = stream.next();
    door.send([1, 2, 3]);
    const failure = new Error('broken');
    door.outcome?.reject(failure);
    expect([await first, await stream.next(), await stream.next()]).toEqual([1, 2, 3].map(item));
    await expect(stream.next()).rejects.toBe(failure);
    expect(await stream.next()).toEqual(end);
  });

  test('says how far it is each time that half of the window has been read', async () => {
    const first = stream.next();
    door.send(Array.from({ length: LIMITS.streamWindow }, (_, i) => i));
    await first;
    for (let i = 2; i < HALF; i++) await stream.next();
    expect(door.reports).toEqual([]);
    await stream.next();
    expect(door.reports).toMatchObject([{ read: HALF, asks: false }]);
    for (let i = 0; i < HALF; i++) await stream.next();
    expect(door.reports).toMatchObject([{ read: HALF }, { read: 2 * HALF }]);
  });

  test('says the same when it is the faster one and waits for every item', async () => {
    for (let i = 0; i < 3 * HALF; i++) {
      const next = stream.next();
      door.item(i, i);
      expect(await next).toEqual(item(i));
    }
    expect(door.reports.map(({ read }) => read)).toEqual([HALF, 2 * HALF, 3 * HALF]);
    expect(door.reports.map(({ received }) => received)).toEqual([HALF, 2 * HALF, 3 * HALF]);
  });

  test('ends the producer when its reader leaves the loop', async () => {
    for await (const value of streaming(['a', 'b', 'c'])) if (value === 'b') break;
    expect(door.cancelled).toMatchObject([{ code: 'CALL_CANCELLED' }]);
    expect(door.cancelled[0]).toBeInstanceOf(CallCancelledError);
    expect(await stream.next()).toEqual(end);
  });

  test('that was left before it was read sends nothing at all', async () => {
    await stream.return();
    expect(await stream.next()).toEqual(end);
    expect(door.started).toBe(0);
    expect(door.cancelled).toEqual([]);
  });

  test('wakes everybody who waits when it is left', async () => {
    const asked = [stream.next(), stream.next()];
    await stream.return();
    expect(await Promise.all(asked)).toEqual([end, end]);
  });

  test('fails with what the call failed with at once', async () => {
    door.failsAtOnce = new Error('stopped');
    await expect(stream.next()).rejects.toBe(door.failsAtOnce);
    expect(await stream.next()).toEqual(end);
  });

  test('unpacks what came from another node, and ends by name on bytes that are none', async () => {
    const first = stream.next();
    door.item(0, pack({ a: 1 }, 'item'));
    expect(await first).toEqual(item({ a: 1 }));
    door.item(1, Uint8Array.of(0xc1));
    await expect(stream.next()).rejects.toThrow();
    expect(door.cancelled).toHaveLength(1);
  });

  test('ignores items that come after the end', async () => {
    const first = stream.next();
    door.outcome?.resolve();
    door.send(['late']);
    expect(await first).toEqual(end);
    expect(await stream.next()).toEqual(end);
  });
});

describe('a stream from another node', () => {
  let asked: Promise<IteratorResult<unknown>>[];
  beforeEach(() => {
    asked = Array.from({ length: 4 }, () => stream.next());
  });

  test('waits for an item that is missing, asks for it once, and gives all in order', async () => {
    door.item(0, 'a');
    door.item(2, 'c');
    door.item(3, 'd');
    expect(door.reports).toEqual([{ read: 1, received: 1, asks: true }]);
    door.item(1, 'b');
    expect(await Promise.all(asked)).toEqual(['a', 'b', 'c', 'd'].map(item));
    expect(door.cancelled).toEqual([]);
  });

  test('gives what comes twice once', async () => {
    for (const [index, value] of [...'abcb'].entries()) door.item(index % 3, value);
    door.item(0, 'a');
    door.end(3);
    expect(await Promise.all(asked)).toEqual([...['a', 'b', 'c'].map(item), end]);
    expect(door.finished).toBe(4);
  });

  test.each([
    ['its end', undefined],
    ['its error', new RangeError('torn')],
  ])('does not end before %s has its turn', async (_what, error) => {
    door.item(0, 'a');
    door.end(2, error);
    expect(door.finished).toBeUndefined();
    expect(door.reports).toEqual([{ read: 1, received: 1, asks: true }]);
    door.item(1, 'b');
    expect(await Promise.all(asked.slice(0, 2))).toEqual(['a', 'b'].map(item));
    if (error) await expect(asked[2]).rejects.toThrow(error);
    else expect(await asked[2]).toEqual(end);
    expect(door.closings).toBe(1);
  });

  test.each([-1, 0.5, 'x', undefined, LIMITS.streamWindow + 1])(
    'ignores index %s, which no producer sends',
    (index) => {
      door.item(index, 'nothing');
      expect(door.reports).toEqual([]);
    },
  );

  test('asks after a tick without a word, and only then', () => {
    stream.tick(); // the call has only just left
    door.item(0, 'a');
    stream.tick();
    expect(door.reports.map(({ asks }) => asks)).toEqual([false, false]);
    stream.tick();
    expect(door.reports[2]).toEqual({ read: 1, received: 1, asks: true });
    stream.answered(true);
    stream.tick();
    expect(door.reports[3]).toEqual({ read: 1, received: 1, asks: false });
  });

  test('says nothing at a tick while items flow', async () => {
    for (let i = 0; i < HALF; i++) door.item(i, i);
    for (let i = 4; i < HALF; i++) await stream.next();
    expect(door.reports).toHaveLength(1);
    stream.tick();
    expect(door.reports).toHaveLength(1);
  });

  test('asks at every tick while an item is missing', () => {
    door.item(1, 'b');
    for (let i = 2; i < 5; i++) {
      door.item(i, 'more');
      stream.tick();
    }
    expect(door.reports.map(({ asks }) => asks)).toEqual([true, true, true, true]);
  });

  test('fails when its silo does not have it, and when that has not said a word for too long', async () => {
    stream.answered(false);
    await expect(asked[0]).rejects.toMatchObject({ code: 'SILO_UNAVAILABLE', grain: 'T/x' });
    stream = new StreamConsumer({} as Caller, door);
    const next = stream.next();
    next.catch(() => {});
    for (let i = 0; i <= LIMITS.streamSilentTicks; i++) stream.tick();
    expect(door.cancelled).toHaveLength(1);
    stream.tick();
    await expect(next).rejects.toThrow(/does not answer; read it anew/);
  });

  test('waits for ever for one that is known to be there, or cannot be', () => {
    for (let i = 0; i < 10 * LIMITS.streamSilentTicks; i++) {
      if (i % 2 === 0) stream.answered(true);
      else if (i % 3 === 0) stream.excuse();
      stream.tick();
    }
    expect(door.cancelled).toEqual([]);
  });
});

/** The stream, with these items under way as soon as it is read. */
async function* streaming(values: readonly unknown[]): AsyncGenerator<unknown> {
  const first = stream.next();
  door.send(values);
  yield (await first).value;
  yield* stream;
}
