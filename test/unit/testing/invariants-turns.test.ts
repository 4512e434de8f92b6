import { describe, expect, test } from 'vitest';
import { Turns } from '../../../framework/testing/invariants/turns.ts';
import { born, crashed, ended, gone, judge, see, started, stopped } from '../../support/histories.ts';

const readOnly = (callId: number) => ({ callId, mode: 'readOnly' }) as const;
const interleave = (callId: number) => ({ callId, mode: 'interleave' }) as const;
const exclusive = (callId: number) => ({ callId });

describe('turns that follow the rules', () => {
  test('one after the other, then the activation is gone', () => {
    const history = [
      ...born(0, 'a~1', 'one'),
      started(1, 'a~1', 'one', exclusive(1)),
      ended(2, 'a~1', 'one', exclusive(1)),
      started(2, 'a~1', 'one', exclusive(2)),
      ended(3, 'a~1', 'one', exclusive(2)),
      gone(3, 'a~1', 'one'),
    ];
    expect(judge(new Turns(), history)).toEqual([]);
  });

  test('read-only turns beside each other, interleaving ones beside anything', () => {
    const history = [
      ...born(0, 'a~1', 'one'),
      started(1, 'a~1', 'one', readOnly(1)),
      started(1, 'a~1', 'one', readOnly(2)),
      started(1, 'a~1', 'one', interleave(3)),
      ended(2, 'a~1', 'one', readOnly(1)),
      ended(2, 'a~1', 'one', readOnly(2)),
      started(2, 'a~1', 'one', exclusive(4)),
      started(3, 'a~1', 'one', interleave(5)),
      ended(4, 'a~1', 'one', interleave(3)),
      ended(4, 'a~1', 'one', exclusive(4)),
      ended(5, 'a~1', 'one', interleave(5)),
    ];
    expect(judge(new Turns(), history)).toEqual([]);
  });

  test('of two activations at once are no concern of this checker', () => {
    const history = [
      ...born(0, 'a~1', 'one'),
      ...born(0, 'b~1', 'two'),
      started(1, 'a~1', 'one', exclusive(1)),
      started(1, 'b~1', 'two', exclusive(2)),
    ];
    expect(judge(new Turns(), history)).toEqual([]);
  });

  test('a stream that takes turn after turn for one call', () => {
    const step = { callId: 7, stream: true };
    const history = [
      ...born(0, 'a~1', 'one'),
      started(1, 'a~1', 'one', step),
      ended(2, 'a~1', 'one', step),
      started(2, 'a~1', 'one', exclusive(8)),
      ended(3, 'a~1', 'one', exclusive(8)),
      started(3, 'a~1', 'one', step),
      ended(4, 'a~1', 'one', step),
    ];
    expect(judge(new Turns(), history)).toEqual([]);
  });

  test('an idempotent read that was sent twice and runs beside itself', () => {
    const history = [
      ...born(0, 'a~1', 'one'),
      started(1, 'a~1', 'one', readOnly(1)),
      started(1, 'a~1', 'one', readOnly(1)),
      ended(2, 'a~1', 'one', readOnly(1)),
      ended(3, 'a~1', 'one', readOnly(1)),
      started(3, 'a~1', 'one', exclusive(2)),
    ];
    expect(judge(new Turns(), history)).toEqual([]);
  });

  test('turns that a crash cut off, or that a stopped silo has given up', () => {
    const history = [
      ...born(0, 'a~1', 'one'),
      started(1, 'a~1', 'one', exclusive(1)),
      crashed(2, 'a~1'),
      ...born(3, 'b~1', 'two'),
      started(3, 'b~1', 'two', exclusive(2)),
      stopped(4, 'b~1'),
      ended(5, 'b~1', 'two', exclusive(2)),
      gone(5, 'b~1', 'two'),
    ];
    expect(judge(new Turns(), history)).toEqual([]);
  });
});

describe('turns that break the rules', () => {
  const overlaps = [
    ['exclusive beside exclusive', exclusive(1), exclusive(2)],
    ['exclusive beside read-only', readOnly(1), exclusive(2)],
    ['read-only beside exclusive', exclusive(1), readOnly(2)],
  ] as const;

  test.each(overlaps)('%s', (_name, first, second) => {
    const history = [
      ...born(0, 'a~1', 'one'),
      started(1, 'a~1', 'one', interleave(9)),
      started(1, 'a~1', 'one', first),
      started(2, 'a~1', 'one', second),
    ];
    expect(judge(new Turns(), history)).toEqual([
      expect.stringMatching(/^Counter\/x on a~1: .*call 2 .* started while .*call 1 /),
    ]);
  });

  test('exclusive beside a read that runs beside itself and has ended once', () => {
    const history = [
      ...born(0, 'a~1', 'one'),
      started(1, 'a~1', 'one', readOnly(1)),
      started(1, 'a~1', 'one', readOnly(1)),
      ended(2, 'a~1', 'one', readOnly(1)),
      started(3, 'a~1', 'one', exclusive(2)),
    ];
    expect(judge(new Turns(), history)).toHaveLength(1);
  });

  test('a tick beside another of the same timer, though both interleave', () => {
    const tick = (callId: number, timer: string) => ({ ...interleave(callId), method: `$timer.${timer}` });
    const history = [
      ...born(0, 'a~1', 'one'),
      ...born(0, 'a~1', 'two'),
      started(1, 'a~1', 'one', tick(-1, 'pulse')),
      started(1, 'a~1', 'one', tick(-2, 'other')),
      started(1, 'a~1', 'two', tick(-3, 'pulse')),
      ended(2, 'a~1', 'one', tick(-1, 'pulse')),
      started(3, 'a~1', 'one', tick(-4, 'pulse')),
    ];
    expect(judge(new Turns(), history)).toEqual([]);
    const early = history.filter(({ event }) => event.type !== 'turnEnded');
    expect(judge(new Turns(), early)).toEqual([
      expect.stringMatching(/call -4 .* started while \$timer.pulse, call -1 .*: ticks of one timer/),
    ]);
  });

  test('before the activation is ready, or when there is none', () => {
    const created = see(0, 'a~1', { type: 'activationCreated', grain: 'Counter/x', activationId: 'one' });
    expect(judge(new Turns(), [created, started(1, 'a~1', 'one')])).toEqual([
      expect.stringContaining('before its activation was ready'),
    ]);
    expect(judge(new Turns(), [started(1, 'a~1', 'one')])).toEqual([
      expect.stringContaining('did not exist'),
    ]);
  });

  test('after the activation is gone', () => {
    const history = [...born(0, 'a~1', 'one'), gone(1, 'a~1', 'one'), started(2, 'a~1', 'one')];
    expect(judge(new Turns(), history)).toEqual([expect.stringContaining('not any more')]);
  });

  test('an activation that is gone while a turn runs', () => {
    const history = [...born(0, 'a~1', 'one'), started(1, 'a~1', 'one'), gone(2, 'a~1', 'one')];
    expect(judge(new Turns(), history)).toEqual([
      expect.stringMatching(/gone while add, call 1 of client~1, ran/),
    ]);
  });

  test('a turn that ends without having started, or twice', () => {
    const history = [
      ...born(0, 'a~1', 'one'),
      started(1, 'a~1', 'one', exclusive(1)),
      ended(2, 'a~1', 'one', exclusive(1)),
      ended(3, 'a~1', 'one', exclusive(1)),
      ended(4, 'a~1', 'one', exclusive(2)),
    ];
    expect(judge(new Turns(), history)).toHaveLength(2);
  });

  test('an activation that is created twice, or ready when it is gone', () => {
    const history = [...born(0, 'a~1', 'one'), ...born(1, 'a~1', 'one'), gone(2, 'a~1', 'one')];
    const late = see(3, 'a~1', { type: 'activationReady', grain: 'Counter/x', activationId: 'one' });
    expect(judge(new Turns(), [...history, late])).toHaveLength(2);
  });
});
