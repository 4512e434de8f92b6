import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../../framework/limits.ts';
import { Inbox } from '../../../framework/rpc/inbox.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const SLICE = 256;

function open() {
  const clock = new ManualClock();
  const taken: string[] = [];
  const inbox = new Inbox(clock, (from, item) => void taken.push(`${from}${String(item)}`));
  const add = (from: string, count: number) => inbox.add(from, ['header', ...numbers(count)], 1);
  const round = () => clock.goRound();
  return { inbox, taken, add, round };
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);
const named = (from: string, count: number) => numbers(count).map((i) => `${from}${i}`);

describe('the inbox', () => {
  test('takes in a small frame at once, without its header', () => {
    const { taken, add } = open();
    add('a', 3);
    expect(taken).toEqual(['a0', 'a1', 'a2']);
  });

  test('takes in a large frame slice by slice, and everything in the order in which it came', () => {
    const { taken, add, round } = open();
    add('a', SLICE + 10);
    add('b', SLICE);
    expect(taken).toHaveLength(SLICE);
    add('a', 5);
    round();
    expect(taken).toHaveLength(2 * SLICE);
    round();
    expect(taken).toEqual([...named('a', SLICE + 10), ...named('b', SLICE), ...named('a', 5)]);
  });

  test('counts what comes in one go together, and begins anew when the event loop has gone round', () => {
    const { taken, add, round } = open();
    for (let frame = 0; frame < 10; frame++) add('a', SLICE / 4);
    expect(taken).toHaveLength(SLICE);
    round();
    expect(taken).toHaveLength(2 * SLICE);
    round();
    expect(taken).toHaveLength(2.5 * SLICE);
    round();
    add('b', SLICE);
    expect(taken).toHaveLength(3.5 * SLICE);
  });

  test('takes in all that waits, and all that comes, when the node is about to go', () => {
    const { inbox, taken, add, round } = open();
    add('a', 3 * SLICE);
    inbox.stopSlicing();
    expect(taken).toHaveLength(3 * SLICE);
    add('b', 3 * SLICE);
    expect(taken).toHaveLength(6 * SLICE);
    round();
    expect(taken).toEqual([...named('a', 3 * SLICE), ...named('b', 3 * SLICE)]);
  });

  test('takes in the oldest at once when too many wait, in their order', () => {
    const { taken, add, round } = open();
    add('a', LIMITS.inbox);
    expect(taken).toHaveLength(SLICE);
    add('b', SLICE);
    expect(taken).toHaveLength(SLICE);
    add('c', 3 * SLICE);
    expect(taken).toHaveLength(4 * SLICE);
    for (let i = 0; i < LIMITS.inbox; i += SLICE) round();
    expect(taken).toEqual([...named('a', LIMITS.inbox), ...named('b', SLICE), ...named('c', 3 * SLICE)]);
  });

  test('takes in nothing that waits, and nothing that comes, when the node has ended', () => {
    const { inbox, taken, add, round } = open();
    add('a', 3 * SLICE);
    inbox.close();
    add('b', 3);
    round();
    inbox.stopSlicing();
    expect(taken).toEqual(named('a', SLICE));
  });
});
