import { beforeEach, describe, expect, test } from 'vitest';
import { CallCancelledError, CallTimeoutError, SiloUnavailableError } from '../../../framework/errors.ts';
import type { Caller } from '../../../framework/grain/reference.ts';
import { LIMITS } from '../../../framework/limits.ts';
import type { Outcome, PendingCall } from '../../../framework/rpc/pending-call.ts';
import { StreamConsumer } from '../../../framework/rpc/stream-consumer.ts';
import { pack } from '../../../framework/serialization/codec.ts';

const HALF = LIMITS.streamWindow / 2;

/** The far side of one stream, as the consumer sees it. */
class Door {
  started = 0;
  granted: number[] = [];
  cancelled: Error[] = [];
  failsAtOnce: Error | undefined;
  readonly call = { target: 'T/x', method: 'items' } as PendingCall;
  outcome: Outcome | undefined;

  start(outcome: Outcome): PendingCall | undefined {
    this.started++;
    this.outcome = outcome;
    if (!this.failsAtOnce) return this.call;
    outcome.reject(this.failsAtOnce);
    return undefined;
  }

  grant(_call: PendingCall, items: number): void {
    this.granted.push(items);
  }

  cancel(_call: PendingCall, error: Error): void {
    this.cancelled.push(error);
    this.outcome?.reject(error);
  }

  /** Items arrive, from `first` on. */
  send(values: readonly unknown[], first = 0): void {
    for (const [i, value] of values.entries()) this.outcome?.push(first + i, value, undefined);
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
    door.outcome?.resolve(undefined);
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

  test('lets the producer send more each time that half of the window has been read', async () => {
    const first = stream.next();
    door.send(Array.from({ length: LIMITS.streamWindow }, (_, i) => i));
    await first;
    for (let i = 2; i < HALF; i++) await stream.next();
    expect(door.granted).toEqual([]);
    await stream.next();
    expect(door.granted).toEqual([HALF]);
    for (let i = 0; i < HALF; i++) await stream.next();
    expect(door.granted).toEqual([HALF, HALF]);
  });

  test('grants the same when it is the faster one and waits for every item', async () => {
    for (let i = 0; i < 3 * HALF; i++) {
      const next = stream.next();
      door.send([i], i);
      expect(await next).toEqual(item(i));
    }
    expect(door.granted).toEqual([HALF, HALF, HALF]);
  });

  test.each([
    ['was lost', 2],
    ['came twice', 0],
  ])('ends with an error when an item %s, after the items before it', async (_what, index) => {
    const first = stream.next();
    door.send(['a']);
    door.send(['c'], index);
    expect(await first).toEqual(item('a'));
    await expect(stream.next()).rejects.toThrow(SiloUnavailableError);
    expect(door.cancelled).toHaveLength(1);
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

  test('ends with CALL_TIMEOUT at its deadline', async () => {
    const next = stream.next();
    door.outcome?.expired(door.call);
    await expect(next).rejects.toThrow(CallTimeoutError);
  });

  test('unpacks what came from another node, and ends by name on bytes that are none', async () => {
    const first = stream.next();
    door.outcome?.push(0, pack({ a: 1 }, 'item'), 'b~1');
    expect(await first).toEqual(item({ a: 1 }));
    door.outcome?.push(1, Uint8Array.of(0xc1), 'b~1');
    await expect(stream.next()).rejects.toThrow();
    expect(door.cancelled).toHaveLength(1);
  });

  test('ignores items that come after the end', async () => {
    const first = stream.next();
    door.outcome?.resolve(undefined);
    door.send(['late']);
    expect(await first).toEqual(end);
    expect(await stream.next()).toEqual(end);
  });
});

/** The stream, with these items under way as soon as it is read. */
async function* streaming(values: readonly unknown[]): AsyncGenerator<unknown> {
  const first = stream.next();
  door.send(values);
  yield (await first).value;
  yield* stream;
}
