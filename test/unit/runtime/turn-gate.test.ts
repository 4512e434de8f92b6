import { beforeEach, describe, expect, test } from 'vitest';
import type { Activation } from '../../../framework/runtime/activation.ts';
import { TurnGate } from '../../../framework/runtime/turn-gate.ts';
import { ManualClock } from '../../support/manual-clock.ts';

let clock: ManualClock;
let closed: boolean;
let gate: TurnGate;
let pumped: string[];

const activation = (name: string) => ({ pump: () => pumped.push(name) }) as unknown as Activation;

beforeEach(() => {
  clock = new ManualClock(1_000);
  closed = false;
  pumped = [];
  gate = new TurnGate(clock, () => closed);
});

describe('turns', () => {
  test('follow each other for a slice; then the event loop goes round, and they go on in order', () => {
    const [a, b] = [activation('a'), activation('b')];
    expect(gate.mayTakeTurn(a, clock.now())).toBe(true);
    expect(gate.mayTakeTurn(a, clock.now() + 19)).toBe(true);
    expect(gate.mayTakeTurn(b, clock.now() + 20)).toBe(false);
    expect(gate.mayTakeTurn(a, clock.now() + 21)).toBe(false);
    expect(pumped).toEqual([]);
    clock.advance(0);
    expect(pumped).toEqual(['b', 'a']);
    expect(gate.mayTakeTurn(a, clock.now())).toBe(true);
  });

  test('wait while the silo may take none, and go on when it may again', () => {
    closed = true;
    expect(gate.mayTakeTurn(activation('a'), clock.now())).toBe(false);
    clock.advance(0);
    expect(pumped).toEqual([]);
    closed = false;
    gate.open();
    expect(pumped).toEqual(['a']);
  });
});
