import { describe, expect, test } from 'vitest';
import { Answers } from '../../../framework/testing/invariants/answers.ts';
import { AtMostOnce } from '../../../framework/testing/invariants/at-most-once.ts';
import { CallOrder } from '../../../framework/testing/invariants/call-order.ts';
import type { Observation } from '../../../framework/testing/invariants/observation.ts';
import {
  agreement,
  born,
  crashed,
  ended,
  gone,
  judge,
  made,
  network,
  paused,
  resumed,
  retried,
  see,
  settled,
  started,
  stopped,
} from '../../support/histories.ts';

describe('answers', () => {
  const judged = (...history: Observation[]) => judge(new Answers({ slackMs: 20 }), history);
  const later = (at: number) => see(at, 'x~1', { type: 'connectionChanged', connected: true });

  test('hold when each call is settled once, by its deadline or a little later', () => {
    const oneWay = made(5, 2, { oneWay: true });
    expect(judged(made(0, 1), oneWay, settled(10, 2), settled(1_020, 1), later(9_000))).toEqual([]);
  });

  test('hold for a call whose deadline had passed when it was made', () => {
    expect(judged(made(5, 1, { timeoutMs: -3 }), settled(25, 1))).toEqual([]);
  });

  test('miss: settled twice, or without being made', () => {
    expect(judged(made(0, 1), settled(1, 1), settled(2, 1))).toEqual([
      expect.stringContaining('Counter/x.add, call 1 of client~1 was settled while it did not wait'),
    ]);
    expect(judged(settled(1, 7))).toHaveLength(1);
  });

  test('miss: settled too late', () => {
    expect(judged(made(0, 1), settled(1_021, 1))).toEqual([expect.stringContaining('was settled at 1021')]);
  });

  test('miss: a call that is still open when its time is over, as soon as anything else happens', () => {
    const answers = new Answers({ slackMs: 20 });
    expect(answers.observe(made(0, 1))).toBeUndefined();
    expect(answers.observe(later(1_020))).toBeUndefined();
    expect(answers.observe(later(2_020))).toContain('had no answer at 2020');
    expect(answers.finish()).toEqual([expect.stringContaining('made at 0, has no answer')]);
  });

  test('miss: a call that is open at the end, or when its silo has stopped', () => {
    expect(judged(made(0, 1))).toHaveLength(1);
    expect(judged(made(0, 1, { caller: 'a~1' }), stopped(5, 'a~1'))).toEqual([
      expect.stringContaining('had no answer when its silo had stopped'),
    ]);
  });

  test('miss: two open calls of one number', () => {
    expect(judged(made(0, 1), made(1, 1), settled(2, 1))).toHaveLength(1);
  });

  test('are not owed by a node that has crashed, nor by one that is paused', () => {
    expect(judged(made(0, 1), crashed(5, 'client~1'), later(9_000))).toEqual([]);
    expect(judged(made(0, 1), paused(5, 'client~1'), later(9_000), later(20_000))).toEqual([]);
  });

  test('are owed at once by a node that goes on after a pause', () => {
    const pause = [made(0, 1), paused(5, 'client~1'), later(4_000), resumed(5_000, 'client~1')];
    expect(judged(...pause, settled(5_020, 1))).toEqual([]);
    expect(judged(...pause, settled(5_021, 1))).toHaveLength(1);
    expect(judged(...pause, later(5_020), later(7_000)).length).toBeGreaterThan(0);
  });

  test('are owed in time to calls made after a pause, and to those of others', () => {
    const pause = [paused(0, 'client~1'), resumed(500, 'client~1')];
    expect(judged(...pause, made(600, 1, { timeoutMs: 10 }), settled(631, 1))).toHaveLength(1);
    const other = made(0, 1, { caller: 'a~1' });
    expect(judged(other, paused(5, 'client~1'), resumed(5_000, 'client~1')).length).toBeGreaterThan(0);
  });
});

describe('at most once', () => {
  const judged = (...history: Observation[]) => judge(new AtMostOnce({ rememberMs: 10_000 }), history);
  const run = (at: number, node: string, id: string, callId: number, stream = false) => [
    started(at, node, id, { callId, stream }),
    ended(at + 1, node, id, { callId, stream }),
  ];

  test('holds for calls that run once, or not at all', () => {
    const history = [made(0, 1), ...run(1, 'a~1', 'one', 1), settled(3, 1), made(4, 2), settled(1_004, 2)];
    expect(judged(...history)).toEqual([]);
  });

  test('holds for equal numbers of different callers', () => {
    const other = made(0, 1, { caller: 'b~1' });
    const turn = started(5, 'a~1', 'one', { caller: 'b~1' });
    expect(judged(made(0, 1), other, ...run(1, 'a~1', 'one', 1), turn)).toEqual([]);
  });

  test('is broken by a second turn, in the same activation or another', () => {
    expect(judged(made(0, 1), ...run(1, 'a~1', 'one', 1), ...run(5, 'a~1', 'one', 1))).toHaveLength(1);
    expect(judged(made(0, 1), ...run(1, 'a~1', 'one', 1), ...run(5, 'b~1', 'two', 1))).toEqual([
      'Counter/x.add, call 1 of client~1, ran again in activation two on b~1, after one on a~1',
    ]);
  });

  test('is broken by a copy that arrives when the call was settled seconds ago', () => {
    const history = [made(0, 1), ...run(1, 'a~1', 'one', 1), settled(3, 1)];
    expect(judged(...history, ...run(9_000, 'a~1', 'one', 1))).toHaveLength(1);
  });

  test('is broken when the caller or the first silo has crashed in between', () => {
    const history = [made(0, 1), ...run(1, 'a~1', 'one', 1), crashed(3, 'client~1'), crashed(3, 'a~1')];
    expect(judged(...history, ...run(9_000, 'b~1', 'two', 1))).toHaveLength(1);
  });

  test('is broken when a call that failed is made again', () => {
    const again = (callId: number) => {
      const call = { grain: 'Counter/x', method: 'add', caller: 'client~1', callId, reason: 'busy' };
      return see(5, 'client~1', { type: 'callRetried', ...call, error: new Error('busy') });
    };
    const failed = [made(0, 1), ...run(1, 'a~1', 'one', 1), settled(3, 1)];
    expect(judged(...failed, again(1))).toEqual([
      'Counter/x.add, call 1 of client~1, may run once, and was made again',
    ]);
    expect(judged(...failed, made(4, 2, { repeatable: true }), again(2))).toEqual([]);
  });

  test('is not asked of what may run more than once', () => {
    const call = made(0, 1, { repeatable: true });
    expect(judged(call, ...run(1, 'a~1', 'one', 1), ...run(5, 'b~1', 'two', 1))).toEqual([]);
  });

  test('lets a stream take many turns, in one activation', () => {
    const stream = [made(0, 1, { stream: true }), ...run(1, 'a~1', 'one', 1, true)];
    expect(judged(...stream, ...run(3, 'a~1', 'one', 1, true))).toEqual([]);
    expect(judged(...stream, ...run(3, 'b~1', 'two', 1, true))).toHaveLength(1);
  });

  test('is forgotten long after the end of a call, so that the memory does not grow', () => {
    const history = [made(0, 1), ...run(1, 'a~1', 'one', 1), settled(3, 1)];
    expect(judged(...history, ...run(12_000, 'a~1', 'one', 1))).toEqual([]);
  });
});

describe('call order', () => {
  const judged = (...history: Observation[]) => judge(new CallOrder({ calmMs: 100 }), history);
  const turn = (at: number, callId: number, id = 'one') => started(at, 'a~1', id, { callId });
  const view = (at: number) => see(at, 'a~1', { type: 'viewChanged', era: 'x', silos: ['a'] });
  /** The second call has started, and the first has not. */
  const overtaken = [...born(0, 'a~1', 'one'), made(10, 1), made(11, 2), turn(20, 2)];

  test('holds for calls that start in the order made, with gaps', () => {
    const history = [made(0, 1), made(1, 2), made(2, 3), turn(5, 1), turn(6, 3)];
    expect(judged(...born(0, 'a~1', 'one'), ...history)).toEqual([]);
  });

  test('is broken when a call starts after one that was made after it', () => {
    expect(judged(...overtaken, turn(30, 1))).toEqual([
      'Counter/x.add on a~1: call 1 of client~1 started after call 2, which was made after it',
    ]);
  });

  test('is broken by reads, too, and by one-way calls that are settled before their turn', () => {
    const read = started(30, 'a~1', 'one', { callId: 1, mode: 'readOnly' });
    expect(judged(...overtaken, read)).toHaveLength(1);
    const oneWay = [made(0, 1, { oneWay: true }), settled(1, 1), made(2, 2), turn(3, 2), turn(4, 1)];
    expect(judged(...oneWay)).toHaveLength(1);
  });

  test('is not asked of different callers, activations or grains', () => {
    const other = started(30, 'a~1', 'one', { callId: 1, caller: 'b~1' });
    expect(judged(...overtaken, made(12, 1, { caller: 'b~1' }), other)).toEqual([]);
    expect(judged(...overtaken, gone(25, 'a~1', 'one'), turn(30, 1, 'two'))).toEqual([]);
    expect(judged(...overtaken, turn(30, 1, 'two'))).toEqual([]);
  });

  test('is not asked of interleaving calls and of streams', () => {
    expect(judged(...overtaken, started(30, 'a~1', 'one', { callId: 1, mode: 'interleave' }))).toEqual([]);
    expect(judged(...overtaken, started(30, 'a~1', 'one', { callId: 1, stream: true }))).toEqual([]);
  });

  test('is not asked of a call that starts again, or that its caller has given up', () => {
    const history = [made(0, 1), made(1, 2), turn(2, 1), turn(3, 2), turn(4, 1), settled(5, 2), turn(6, 2)];
    expect(judged(...history)).toEqual([]);
    expect(judged(...overtaken, settled(25, 1), turn(30, 1))).toEqual([]);
  });

  test('is not asked while something is tried again, but of calls made after that', () => {
    expect(judged(...overtaken.slice(0, -1), retried(15, 1), turn(20, 2), turn(30, 1))).toEqual([]);
    expect(judged(retried(5, 9), ...overtaken, turn(30, 1))).toHaveLength(1);
  });

  test('is not asked in a network without order, but of calls made after that', () => {
    const without = [network(5, true, false), network(10, true, true)];
    expect(judged(network(5, true, false), ...overtaken, network(25, true, true), turn(30, 1))).toEqual([]);
    expect(judged(...without, ...overtaken, turn(30, 1))).toHaveLength(1);
  });

  test('is not asked when the views have just changed, but of calls made a while after that', () => {
    expect(judged(...overtaken, view(25), turn(30, 1))).toEqual([]);
    expect(judged(...overtaken, agreement(25, false), turn(30, 1))).toEqual([]);
    expect(judged(view(-50), ...overtaken, turn(30, 1))).toEqual([]);
    expect(judged(view(-91), ...overtaken, turn(30, 1))).toHaveLength(1);
  });

  test('is asked across a pause and a cut that loses nothing', () => {
    const pause = [paused(21, 'a~1'), network(21, false), network(28, true), resumed(28, 'a~1')];
    expect(judged(...overtaken, ...pause, turn(30, 1))).toHaveLength(1);
  });
});
