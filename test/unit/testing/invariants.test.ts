import { expect, test } from 'vitest';
import { Agenda } from '../../../framework/testing/invariants/agenda.ts';
import { Invariants, type Violation } from '../../../framework/testing/invariants/invariants.ts';
import type { Observation } from '../../../framework/testing/invariants/observation.ts';
import {
  agreement,
  applied,
  born,
  crashed,
  ended,
  gone,
  heard,
  made,
  settled,
  started,
} from '../../support/histories.ts';

/** What a grain that counts and saves tells, with one call after the other on one silo. */
function* life(calls: number): Generator<Observation> {
  yield agreement(0, true);
  yield* born(0, 'a~1', 'one');
  yield heard(0, 'a~1', 'recordRead', 'one', undefined, undefined);
  let etag: string | undefined;
  for (let callId = 1; callId <= calls; callId++) {
    const at = callId * 10;
    const before = etag;
    etag = `e${callId}`;
    yield made(at, callId);
    yield started(at + 1, 'a~1', 'one', { callId });
    yield applied(at + 2, 'a~1', before, etag);
    yield heard(at + 3, 'a~1', 'recordSaved', 'one', before, etag);
    yield ended(at + 3, 'a~1', 'one', { callId });
    yield settled(at + 4, callId);
  }
  yield gone(calls * 10 + 10, 'a~1', 'one');
}

function found(history: Iterable<Observation>): Violation[] {
  const invariants = new Invariants();
  let last = 0;
  const violations = [...history].flatMap((observation) => {
    last = observation.at;
    return invariants.observe(observation) ?? [];
  });
  return [...violations, ...invariants.finish(last)];
}

test('a history in which all goes well breaks nothing', () => {
  expect(found(life(50))).toEqual([]);
});

test('the first thing that is wrong is told with the name of what it breaks, and when', () => {
  const history = [...life(3)];
  const again = started(25, 'a~1', 'one', { callId: 1 });
  const index = history.findIndex(({ at }) => at > 25);
  expect(found([...history.slice(0, index), again, ...history.slice(index)])[0]).toEqual({
    invariant: 'at most once',
    at: 25,
    message: expect.stringContaining('call 1 of client~1, ran again'),
  });
});

test('each checker has its say, also at the end', () => {
  const second = [...born(10_000, 'b~1', 'two'), made(10_000, 1), made(10_000, 2)];
  const history: Observation[] = [
    agreement(0, true),
    ...born(0, 'a~1', 'one'),
    made(0, 99),
    started(10_000, 'a~1', 'one', { callId: 99 }), // answered too late, that is: not at all
    ...second,
    started(10_001, 'b~1', 'two', { callId: 2 }), // beside the first activation
    started(10_002, 'b~1', 'two', { callId: 1, mode: 'readOnly' }), // beside the second call, and after it
    ended(10_003, 'b~1', 'two', { callId: 2 }),
    gone(10_003, 'a~1', 'one'),
    started(10_004, 'b~1', 'two', { callId: 2, mode: 'interleave' }), // again
    heard(10_005, 'b~1', 'recordSaved', 'two', undefined, 'e1'), // without having read
  ];
  const names = new Set(found(history).map(({ invariant }) => invariant));
  expect([...names].sort()).toEqual(['answers', 'at most once', 'saves', 'single activation', 'turns']);
});

test('what a node tells after its crash is not believed; what a store took from it is', () => {
  const history = [
    ...born(0, 'a~1', 'one'),
    crashed(1, 'a~1'),
    started(2, 'a~1', 'one'),
    gone(3, 'a~1', 'one'),
    applied(4, 'a~1', undefined, 'e1'),
    applied(5, 'b~1', undefined, 'e2'),
  ];
  expect(found(history).map(({ message }) => message)).toEqual([expect.stringContaining('held etag e1')]);
});

test('50,000 observations of one activation take no time worth mentioning, also on a busy machine', () => {
  const history = [...life(8_333)];
  const invariants = new Invariants();
  const before = performance.now();
  for (const observation of history) invariants.observe(observation);
  expect(performance.now() - before).toBeLessThan(5_000); // usually 100; far more if it grew with its length
});

test('an agenda gives each item once, when its second is over, and none that was removed', () => {
  const agenda = new Agenda<string>();
  agenda.add(1_200, 'a');
  agenda.add(1_900, 'b');
  agenda.add(86_400_000, 'tomorrow');
  agenda.add(1_300, 'removed');
  agenda.remove(1_300, 'removed');
  expect(agenda.due(1_999)).toEqual([]);
  expect(agenda.due(2_000)).toEqual(['a', 'b']);
  expect(agenda.due(5_000)).toEqual([]);
  agenda.add(100, 'late');
  expect(agenda.due(5_000)).toEqual(['late']);
  expect(agenda.due(86_401_000)).toEqual(['tomorrow']);
  expect(agenda.due(99_000_000)).toEqual([]);
});
