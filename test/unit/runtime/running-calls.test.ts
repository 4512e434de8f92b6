import { describe, expect, test } from 'vitest';
import { Call, type Replies } from '../../../framework/rpc/call.ts';
import { NO_PLACE, RunningCalls } from '../../../framework/runtime/running-calls.ts';

describe('the calls that run on a silo', () => {
  const call = (id: number) => new Call('a~1', id, 'Counter/x', 'increment', [], 0, {} as Replies);

  test('are kept for each activation by itself', () => {
    const running = new RunningCalls();
    const [one, two, three] = [call(1), call(2), call(3)];
    const here = running.add(NO_PLACE, one);
    const there = running.add(NO_PLACE, two);
    expect(running.add(here, three)).toBe(here);
    expect(running.at(here)).toEqual([one, three]);
    expect(running.at(there)).toEqual([two]);
    expect(running.remove(here, one)).toBe(here);
    expect(running.at(here)).toEqual([three]);
    expect(running.at(there)).toEqual([two]);
  });

  test('leave their place to another activation when the last has ended', () => {
    const running = new RunningCalls();
    const place = running.add(NO_PLACE, call(1));
    const [first] = running.at(place);
    expect(running.remove(place, first as Call)).toBe(NO_PLACE);
    expect(running.at(NO_PLACE)).toEqual([]);
    const next = call(2);
    expect(running.add(NO_PLACE, next)).toBe(place);
    expect(running.at(place)).toEqual([next]);
  });
});
