import { describe, expect, test } from 'vitest';
import { ReceivedFrames } from '../../../framework/rpc/received-frames.ts';

const A = 'a~1';
const B = 'b~1';

function taken(frames: ReceivedFrames, numbers: readonly number[], from = A): number[] {
  return numbers.filter((number) => frames.take(from, number));
}

describe('frames of one sender', () => {
  test('are taken once each, in order', () => {
    expect(taken(new ReceivedFrames(), [1, 1, 2, 3, 2, 3, 4, 1])).toEqual([1, 2, 3, 4]);
  });

  test('are taken when they come late, and then not again', () => {
    expect(taken(new ReceivedFrames(), [1, 4, 2, 2, 3, 4, 3, 5])).toEqual([1, 4, 2, 3, 5]);
  });

  test('are taken when the first to come was not the first to be sent', () => {
    expect(taken(new ReceivedFrames(), [3, 1, 3, 2, 1])).toEqual([3, 1, 2]);
  });

  test('count as lost when they come too late to be told from duplicates', () => {
    expect(taken(new ReceivedFrames(), [1, 1_000, 2, 743, 744, 744, 999, 999])).toEqual([1, 1_000, 744, 999]);
  });

  test('may begin anywhere, after an outbox was forgotten', () => {
    expect(taken(new ReceivedFrames(), [5_000_000_000, 5_000_000_001, 5_000_000_000])).toEqual([
      5_000_000_000, 5_000_000_001,
    ]);
  });
});

test('senders do not mix', () => {
  const frames = new ReceivedFrames();
  expect(taken(frames, [1, 2], A)).toEqual([1, 2]);
  expect(taken(frames, [1, 2], B)).toEqual([1, 2]);
});

test('in any order, with any duplicates, each frame is taken exactly once', () => {
  const frames = new ReceivedFrames();
  const numbers = Array.from({ length: 200 }, (_, i) => ((i * 77) % 200) + 1);
  expect(taken(frames, [...numbers, ...numbers]).sort((a, b) => a - b)).toEqual(
    numbers.toSorted((a, b) => a - b),
  );
});
