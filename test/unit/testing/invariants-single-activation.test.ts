import { describe, expect, test } from 'vitest';
import type { Observation } from '../../../framework/testing/invariants/observation.ts';
import { SingleActivation } from '../../../framework/testing/invariants/single-activation.ts';
import {
  agreement,
  crashed,
  ended,
  gone,
  judge,
  network,
  paused,
  resumed,
  see,
  started,
  stopped,
} from '../../support/histories.ts';

const GRACE_MS = 100;
const DRAIN_MS = 1_000;

function judged(...history: Observation[]): string[] {
  const options = { workerTypes: ['Hasher'], graceMs: GRACE_MS, drainMs: DRAIN_MS };
  return judge(new SingleActivation(options), history);
}

function turn(at: number, node: string, activationId: string, callId: number): Observation[] {
  return [started(at, node, activationId, { callId }), ended(at + 1, node, activationId, { callId })];
}

/** The cluster is in order from its start. */
const ORDER = [network(0, true), agreement(0, true)];

describe('one activation after the other', () => {
  test('holds, also on another silo', () => {
    const history = [...turn(200, 'a~1', 'one', 1), gone(210, 'a~1', 'one'), ...turn(211, 'b~1', 'two', 2)];
    expect(judged(...ORDER, ...history)).toEqual([]);
  });

  test('holds when the first has crashed with its silo', () => {
    const history = [started(200, 'a~1', 'one'), crashed(210, 'a~1'), ...turn(211, 'b~1', 'two', 2)];
    expect(judged(...ORDER, ...history)).toEqual([]);
  });

  test('holds when the first was left over on a silo that has stopped', () => {
    const history = [started(200, 'a~1', 'one'), stopped(210, 'a~1'), ...turn(211, 'b~1', 'two', 2)];
    expect(judged(...ORDER, ...history)).toEqual([]);
  });
});

describe('two activations of a cluster in order', () => {
  test('are found when the second takes a turn beside the first', () => {
    const history = [started(200, 'a~1', 'one'), started(201, 'b~1', 'two', { callId: 2 })];
    expect(judged(...ORDER, ...history)).toEqual([
      'Counter/x: add started in activation two on b~1 while one on a~1 runs a turn',
    ]);
  });

  test('are found when they take turns in turn', () => {
    const found = judged(...ORDER, ...turn(200, 'a~1', 'one', 1), ...turn(300, 'b~1', 'two', 2));
    expect(found).toEqual([expect.stringContaining('one on a~1 has taken turns and is not gone')]);
  });

  test('are found on one silo, too', () => {
    expect(judged(...ORDER, ...turn(200, 'a~1', 'one', 1), ...turn(300, 'a~1', 'two', 2))).toHaveLength(1);
  });

  test('may be workers, or of two grains with one key', () => {
    const worker = { grain: 'Hasher/x' };
    const history = [
      started(200, 'a~1', 'one', worker),
      started(201, 'a~1', 'two', { ...worker, callId: 2 }),
      started(202, 'b~1', 'three', { callId: 3 }),
      started(203, 'b~1', 'four', { grain: 'Account/x', callId: 4 }),
    ];
    expect(judged(...ORDER, ...history)).toEqual([]);
  });

  test('are found while silos join and leave, agreed or not', () => {
    const history = [
      agreement(150, false),
      started(200, 'a~1', 'one'),
      agreement(201, true),
      agreement(202, false),
      started(203, 'b~1', 'two', { callId: 2 }),
    ];
    expect(judged(...ORDER, ...history)).toHaveLength(1);
  });
});

describe('two activations of a cluster that is not in order', () => {
  test('may be, as long as the silos have never agreed', () => {
    expect(judged(network(0, true), started(200, 'a~1', 'one'), started(201, 'b~1', 'two'))).toEqual([]);
  });

  test.each([
    ['a cut', [network(150, false), agreement(150, false)]],
    ['a crash', [crashed(150, 'c~1'), agreement(150, false)]],
    ['a pause', [paused(150, 'c~1'), resumed(160, 'c~1'), agreement(160, false)]],
    [
      'a silo that another has replaced',
      [see(150, 'c~1', { type: 'siloReplaced', silo: 'c~1', by: 'c~2' }), agreement(150, false)],
    ],
  ])('may be after %s', (_name, disturbance) => {
    const history = [started(200, 'a~1', 'one'), started(201, 'b~1', 'two', { callId: 2 })];
    expect(judged(...ORDER, ...disturbance, network(170, true), ...history)).toEqual([]);
  });

  test('may both be left when the silos agree again, if only one takes turns after that', () => {
    const history = [
      network(150, false),
      agreement(160, false),
      ...turn(200, 'a~1', 'one', 1),
      ...turn(201, 'b~1', 'two', 2),
      network(300, true),
      ...turn(401, 'b~1', 'two', 3),
      agreement(410, true),
      ...turn(501, 'a~1', 'one', 4),
      ...turn(601, 'a~1', 'one', 5),
    ];
    expect(judged(...ORDER, ...history)).toEqual([]);
  });

  test('may be when a suspicion from before the heal ends the agreement only after it', () => {
    const history = [
      network(150, false),
      network(160, true),
      agreement(200, false),
      ...turn(270, 'a~1', 'one', 1),
      ...turn(271, 'b~1', 'two', 2),
    ];
    expect(judged(...ORDER, ...history)).toEqual([]);
  });

  test('are found after a cut that nobody has noticed', () => {
    const cut = [network(150, false), network(160, true)];
    const turns = (at: number) => [...turn(at, 'a~1', 'one', 1), ...turn(at + 2, 'b~1', 'two', 2)];
    expect(judged(...ORDER, ...cut, ...turns(257))).toEqual([]);
    expect(judged(...ORDER, ...cut, ...turns(260))).toHaveLength(1);
  });

  test('are found when both take turns after the heal was agreed on', () => {
    const history = [
      network(150, false),
      agreement(150, false),
      ...turn(200, 'a~1', 'one', 1),
      ...turn(201, 'b~1', 'two', 2),
      network(300, true),
      agreement(400, true),
      ...turn(501, 'b~1', 'two', 3),
      ...turn(601, 'a~1', 'one', 4),
    ];
    expect(judged(...ORDER, ...history)).toHaveLength(1);
  });

  test('are found after a crash that everybody has agreed on', () => {
    const history = [
      crashed(150, 'c~1'),
      agreement(150, false),
      agreement(200, true),
      ...turn(301, 'a~1', 'one', 1),
      agreement(302, false),
      ...turn(303, 'b~1', 'two', 2),
    ];
    expect(judged(...ORDER, ...history)).toHaveLength(1);
  });
});

test('a turn that takes longer than a silo waits when it stops may be overlapped', () => {
  const found = (after: number) =>
    judged(...ORDER, started(200, 'a~1', 'one'), started(200 + after, 'b~1', 'two', { callId: 2 }));
  expect(found(DRAIN_MS)).toEqual([]);
  expect(found(DRAIN_MS - 1)).toHaveLength(1);
});
