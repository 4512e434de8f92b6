import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { LIMITS } from '../../../framework/limits.ts';
import { PART } from '../../../framework/rpc/frames.ts';
import { Reassembly } from '../../../framework/rpc/reassembly.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const piece = fc.uint8Array({ maxLength: 8 });
const message = fc.array(piece, { minLength: 2, maxLength: 6 });

/** The frames of the parts of a message. */
function partsOf(from: string, number: number, pieces: readonly Uint8Array[]): unknown[][] {
  return pieces.map((bytes, index) => [PART, from, number, index, pieces.length, bytes]);
}

function addAll(reassembly: Reassembly, frames: readonly (readonly unknown[])[]): (Uint8Array | undefined)[] {
  return frames.map((frame) => reassembly.add(frame[1] as string, frame));
}

describe('a large message', () => {
  it('is whole with its last part, when all parts came in order, whatever came between them', () => {
    fc.assert(
      fc.property(message, message, fc.infiniteStream(fc.boolean()), (one, other, coin) => {
        const reassembly = new Reassembly(new ManualClock());
        const queues = [partsOf('a~1', 1, one), partsOf('b~1', 1, other)];
        const whole: Buffer[] = [];
        while (queues.some((queue) => queue.length > 0)) {
          const queue = queues[coin.next().value ? 0 : 1] as unknown[][];
          const frame = queue.shift();
          const bytes = frame && reassembly.add(frame[1] as string, frame);
          if (bytes) whole.push(Buffer.from(bytes));
        }
        const expected = [Buffer.concat(one), Buffer.concat(other)];
        expect(whole).toHaveLength(2);
        expect(whole).toEqual(expect.arrayContaining(expected));
      }),
    );
  });

  it('is never put together from parts that were lost, repeated or out of order', () => {
    const shuffled = message.chain((pieces) => {
      const numbered = pieces.map((bytes, i) => Uint8Array.from([i, ...bytes]));
      const frames = partsOf('a~1', 1, numbered);
      return fc.tuple(fc.constant(numbered), fc.array(fc.constantFrom(...frames), { maxLength: 12 }));
    });
    fc.assert(
      fc.property(shuffled, ([pieces, frames]) => {
        const made = addAll(new Reassembly(new ManualClock()), frames).filter((bytes) => bytes !== undefined);
        for (const bytes of made) expect(Buffer.from(bytes)).toEqual(Buffer.concat(pieces));
      }),
      { numRuns: 1_000 },
    );
  });

  test('starts anew with a first part that comes again', () => {
    const frames = partsOf('a~1', 1, [Uint8Array.of(1), Uint8Array.of(2)]);
    const [first, second] = frames as [unknown[], unknown[]];
    const reassembly = new Reassembly(new ManualClock());
    expect(addAll(reassembly, [first, first, second]).at(-1)).toEqual(Buffer.of(1, 2));
    expect(reassembly.add('a~1', second)).toBeUndefined();
  });

  test('does not change when the buffer that a part came in is used again', () => {
    const bytes = Uint8Array.of(1);
    const reassembly = new Reassembly(new ManualClock());
    reassembly.add('a~1', [PART, 'a~1', 1, 0, 2, bytes]);
    bytes[0] = 9;
    expect(reassembly.add('a~1', [PART, 'a~1', 1, 1, 2, Uint8Array.of(2)])).toEqual(Buffer.of(1, 2));
  });

  test('whose rest does not come in time is given up', () => {
    const clock = new ManualClock();
    const reassembly = new Reassembly(clock);
    const [first, second] = partsOf('a~1', 1, [Uint8Array.of(1), Uint8Array.of(2)]) as [unknown[], unknown[]];
    reassembly.add('a~1', first);
    clock.advance(LIMITS.reassemblyMs);
    expect(reassembly.add('a~1', second)).toBeUndefined();
    expect(addAll(reassembly, [first, second]).at(-1)).toEqual(Buffer.of(1, 2));
  });

  test('gives way to later ones when memory is short, the oldest first', () => {
    const reassembly = new Reassembly(new ManualClock());
    const half = new Uint8Array(LIMITS.reassemblyBytes / 2);
    const frames = [1, 2, 3].map((number) => partsOf('a~1', number, [half, Uint8Array.of(number)]));
    for (const [first] of frames) reassembly.add('a~1', first as unknown[]);
    const whole = frames.map(([, second]) => reassembly.add('a~1', second as unknown[])?.at(-1));
    expect(whole).toEqual([undefined, 2, 3]);
  });

  test('of very many parts of nothing is not kept either', () => {
    const reassembly = new Reassembly(new ManualClock());
    const nothing = new Uint8Array(0);
    const count = LIMITS.reassemblyBytes;
    for (let index = 0; index < 5; index++) reassembly.add('a~1', [PART, 'a~1', 1, index, count, nothing]);
    expect(reassembly.add('a~1', [PART, 'a~1', 1, 7, count, nothing])).toBeUndefined();
  });
});

it('survives anything that claims to be a part', () => {
  const anything = fc.oneof(fc.nat({ max: 4 }), piece, fc.anything());
  const frame = fc.tuple(anything, anything, anything, anything).map((rest) => [PART, 'a~1', ...rest]);
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 20 }), (frames) => {
      addAll(new Reassembly(new ManualClock()), frames);
    }),
  );
});
