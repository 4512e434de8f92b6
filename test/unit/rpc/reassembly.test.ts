import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { LIMITS } from '../../../framework/limits.ts';
import { PART } from '../../../framework/rpc/frames.ts';
import { Reassembly, type Taken } from '../../../framework/rpc/reassembly.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const PART_BYTES = 4;
/** What is cut into parts of four bytes. */
const content = fc.uint8Array({ minLength: PART_BYTES + 1, maxLength: 6 * PART_BYTES });

/** The frames of its parts. */
function partsOf(from: string, number: number, bytes: Uint8Array, partBytes = PART_BYTES): unknown[][] {
  const count = Math.ceil(bytes.length / partBytes);
  return Array.from({ length: count }, (_, index) => {
    return [PART, from, number, index, count, bytes.slice(index * partBytes, (index + 1) * partBytes)];
  });
}

function addAll(reassembly: Reassembly, frames: readonly (readonly unknown[])[]): Taken[] {
  return frames.map((frame) => reassembly.add(frame[1] as string, frame));
}

const wholes = (taken: readonly Taken[]) => taken.flatMap(({ whole }) => (whole ? [Buffer.from(whole)] : []));

describe('a shipment', () => {
  it('is whole with its last part, when all parts came in order, whatever came between them', () => {
    fc.assert(
      fc.property(content, content, fc.infiniteStream(fc.boolean()), (one, other, coin) => {
        const reassembly = new Reassembly(new ManualClock());
        const queues = [partsOf('a~1', 1, one), partsOf('b~1', 1, other)];
        const taken: Taken[] = [];
        while (queues.some((queue) => queue.length > 0)) {
          const frame = (queues[coin.next().value ? 0 : 1] as unknown[][]).shift();
          if (frame) taken.push(reassembly.add(frame[1] as string, frame));
        }
        expect(wholes(taken)).toHaveLength(2);
        expect(wholes(taken)).toEqual(expect.arrayContaining([Buffer.from(one), Buffer.from(other)]));
      }),
    );
  });

  it('is put together once at most, as it was, from whatever parts come in whatever order', () => {
    const shuffled = content.chain((bytes) => {
      const frames = partsOf('a~1', 1, bytes);
      return fc.tuple(fc.constant(bytes), fc.array(fc.constantFrom(...frames), { maxLength: 30 }));
    });
    fc.assert(
      fc.property(shuffled, ([bytes, frames]) => {
        const made = wholes(addAll(new Reassembly(new ManualClock()), frames));
        expect(made.length).toBeLessThanOrEqual(1);
        for (const whole of made) expect(whole).toEqual(Buffer.from(bytes));
      }),
      { numRuns: 1_000 },
    );
  });

  test('goes on from where the sender is told to after a gap, a part that came twice, and its end', () => {
    const [first, second, third] = partsOf('a~1', 1, Uint8Array.of(1, 1, 1, 1, 2, 2, 2, 2, 3)) as [
      unknown[],
      unknown[],
      unknown[],
    ];
    const reassembly = new Reassembly(new ManualClock());
    const taken = addAll(reassembly, [first, third, first, second, third, third]);
    const received = taken.map((each) => each.received);
    expect(received.slice(1, 3)).toEqual([1, 1]);
    expect(received.slice(4)).toEqual([3, 3]);
    expect(wholes(taken)).toHaveLength(1);
  });

  test('is confirmed while it comes, so that its sender may go on', () => {
    const bytes = new Uint8Array(4 * LIMITS.partsBytes);
    const taken = addAll(new Reassembly(new ManualClock()), partsOf('a~1', 1, bytes, LIMITS.partBytes));
    const reports = taken.flatMap(({ received }) => received ?? []);
    expect(reports.length).toBeGreaterThanOrEqual(4);
    expect(reports.at(-1)).toBe(taken.length);
  });

  test('does not change when the buffer that a part came in is used again', () => {
    const [first, second] = partsOf('a~1', 1, Uint8Array.of(1, 1, 1, 1, 2)) as [unknown[], unknown[]];
    const reassembly = new Reassembly(new ManualClock());
    reassembly.add('a~1', first);
    (first[5] as Uint8Array).fill(9);
    expect(wholes([reassembly.add('a~1', second)])).toEqual([Buffer.of(1, 1, 1, 1, 2)]);
  });

  test('is let go of when the next one of its sender begins, and does not come back', () => {
    const [first, second] = partsOf('a~1', 1, new Uint8Array(5)) as [unknown[], unknown[]];
    const next = partsOf('a~1', 2, Uint8Array.of(7, 7, 7, 7, 7));
    const taken = addAll(new Reassembly(new ManualClock()), [first, ...next, first, second]);
    expect(wholes(taken)).toEqual([Buffer.of(7, 7, 7, 7, 7)]);
  });

  test('whose sender falls silent gives its room away, and begins anew if it goes on', () => {
    const clock = new ManualClock();
    const reassembly = new Reassembly(clock);
    const size = LIMITS.callBytes;
    const large = (from: string) =>
      partsOf(from, 1, new Uint8Array(size), size / 2) as [unknown[], unknown[]];
    const senders = ['a~1', 'b~1', 'c~1', 'd~1', 'e~1'];
    for (const from of senders) reassembly.add(from, large(from)[0]);
    clock.advance(LIMITS.reassemblyMs);
    expect(wholes(addAll(reassembly, large('f~1')))).toHaveLength(1);
    const [first, second] = large('a~1');
    expect(reassembly.add('a~1', second)).toEqual({ received: 0 });
    expect(wholes(addAll(reassembly, [first, second]))).toHaveLength(1);
  });

  test('for which there is no room waits, without an answer, until there is', () => {
    const reassembly = new Reassembly(new ManualClock());
    const senders = ['a~1', 'b~1', 'c~1', 'd~1', 'e~1'];
    const size = LIMITS.callBytes;
    const shipments = senders.map((from) => partsOf(from, 1, new Uint8Array(size), size / 2)) as [
      unknown[],
      unknown[],
    ][];
    for (const [first] of shipments.slice(0, -1)) reassembly.add(first[1] as string, first);
    const [first, second] = shipments.at(-1) as [unknown[], unknown[]];
    expect(reassembly.add('e~1', first)).toEqual({});
    const [done] = shipments as [[unknown[], unknown[]]];
    expect(wholes([reassembly.add('a~1', done[1])])).toHaveLength(1);
    expect(wholes(addAll(reassembly, [first, second]))).toHaveLength(1);
  });

  test('is forgotten when ten thousand others have begun since, and begins anew', () => {
    const reassembly = new Reassembly(new ManualClock());
    const begun = ['a~1', ...Array.from({ length: 10_000 }, (_, n) => `c${n}~1`)];
    const shipments = begun.map((from) => partsOf(from, 1, Uint8Array.of(1, 2), 1));
    for (const [first] of shipments) reassembly.add(first?.[1] as string, first as unknown[]);
    const [forgotten, known] = shipments as [unknown[][], unknown[][]];
    expect(wholes(addAll(reassembly, known.slice(1)))).toHaveLength(1);
    expect(addAll(reassembly, forgotten.slice(1))).toEqual([{ received: 0 }]);
    expect(wholes(addAll(reassembly, forgotten))).toHaveLength(1);
  });

  test('that claims to be larger than anything may be is not begun', () => {
    const reassembly = new Reassembly(new ManualClock());
    for (const [count, bytes] of [
      [LIMITS.callBytes, 64],
      [Number.MAX_SAFE_INTEGER, 1],
      [LIMITS.reassemblyBytes, 0],
    ] as const) {
      expect(reassembly.add('a~1', [PART, 'a~1', 1, 0, count, new Uint8Array(bytes)])).toEqual({});
    }
    expect(reassembly.add('a~1', [PART, 'a~1', 1, 1, 5, new Uint8Array(1)])).toEqual({ received: 0 });
  });
});

it('survives anything that claims to be a part', () => {
  const anything = fc.oneof(fc.nat({ max: 4 }), fc.uint8Array({ maxLength: 8 }), fc.anything());
  const frame = fc.tuple(anything, anything, anything, anything).map((rest) => [PART, 'a~1', ...rest]);
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 20 }), (frames) => {
      addAll(new Reassembly(new ManualClock()), frames);
    }),
  );
});
