import { expect, test } from 'vitest';
import { LIMITS } from '../../../framework/limits.ts';
import type { Call } from '../../../framework/rpc/call.ts';
import { Forwards } from '../../../framework/runtime/forwards.ts';
import { ManualClock } from '../../support/manual-clock.ts';

function callOf(notRun: string[], name: string): Call {
  return { replies: { notRun: () => notRun.push(name) } } as unknown as Call;
}

test('who made a call that nobody received is told so, once; others of the same silo are not', () => {
  const forwards = new Forwards(new ManualClock());
  const notRun: string[] = [];
  forwards.add('b~1', callOf(notRun, 'lost')).ticket = 7;
  forwards.add('b~1', callOf(notRun, 'received')).ticket = 8;
  forwards.add('c~1', callOf(notRun, 'elsewhere')).ticket = 7;
  forwards.undeliverable('b~1', 7);
  forwards.undeliverable('b~1', 7);
  expect(notRun).toEqual(['lost']);
});

test('all calls of one frame come back together', () => {
  const forwards = new Forwards(new ManualClock());
  const notRun: string[] = [];
  for (const name of ['first', 'second']) forwards.add('b~1', callOf(notRun, name)).ticket = 3;
  forwards.undeliverable('b~1', 3);
  expect(notRun).toEqual(['first', 'second']);
});

test('what was passed on long ago is forgotten, and so is the oldest of too many', () => {
  const clock = new ManualClock();
  const forwards = new Forwards(clock);
  const notRun: string[] = [];
  forwards.add('b~1', callOf(notRun, 'old')).ticket = 1;
  clock.advance(10_000);
  forwards.add('b~1', callOf(notRun, 'oldest')).ticket = 2;
  for (let i = 0; i < LIMITS.forwards; i++) forwards.add('b~1', callOf(notRun, 'more')).ticket = 3;
  forwards.undeliverable('b~1', 1);
  forwards.undeliverable('b~1', 2);
  expect(notRun).toEqual([]);
});
