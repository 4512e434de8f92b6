import { describe, expect, test } from 'vitest';
import type { Activation } from '../../../framework/runtime/activation.ts';
import { Collector } from '../../../framework/runtime/collector.ts';
import { ManualClock } from '../../support/manual-clock.ts';

/** What the collector sees of an activation. */
class Lodger {
  readonly type: { readonly keepAlive: boolean; readonly idleMs: number | undefined };
  readonly #clock: ManualClock;
  state = 'active';
  lastUsedAt: number;
  keepUntil = 0;
  busy = false;
  timers: { readonly keepsAlive: boolean } | undefined;
  looks = 0;
  goneAt: number | undefined;

  constructor(clock: ManualClock, type: { keepAlive?: boolean; idleMs?: number } = {}) {
    this.#clock = clock;
    this.lastUsedAt = clock.now();
    this.type = { keepAlive: type.keepAlive ?? false, idleMs: type.idleMs };
  }

  use(): void {
    this.lastUsedAt = this.#clock.now();
  }

  isIdle(now: number, idleMs: number): boolean {
    this.looks++;
    return (
      !this.busy &&
      !this.timers?.keepsAlive &&
      this.keepUntil <= now &&
      now - this.lastUsedAt >= (this.type.idleMs ?? idleMs)
    );
  }

  deactivate(): void {
    this.state = 'gone';
    this.goneAt = this.#clock.now();
  }
}

function house(idleMs: number, shortestIdleMs = idleMs) {
  const clock = new ManualClock(10_000);
  const collector = new Collector({ clock, idleMs }, shortestIdleMs);
  const lodger = (type?: { keepAlive?: boolean; idleMs?: number }) => {
    const made = new Lodger(clock, type);
    collector.add(made as unknown as Activation);
    return made;
  };
  const pass = (ms: number) => {
    for (let i = 0; i < ms; i += 5) clock.advance(5);
  };
  return { clock, collector, lodger, pass };
}

describe('the collector', () => {
  test('takes what was idle for its time, not before, and soon after', () => {
    const { lodger, pass } = house(1_000);
    const idle = lodger();
    pass(995);
    expect(idle.state).toBe('active');
    pass(600);
    expect(idle.goneAt).toBeGreaterThanOrEqual(11_000);
    expect(idle.goneAt).toBeLessThanOrEqual(11_500);
  });

  test('looks at what a timer keeps once in each idle time, and takes it when that ends', () => {
    const { clock, lodger, pass } = house(1_000);
    const kept = lodger();
    kept.timers = { keepsAlive: true };
    pass(20_000);
    expect(kept.state).toBe('active');
    expect(kept.looks).toBeLessThanOrEqual(20);
    kept.timers = undefined;
    const last = clock.now();
    pass(2_000);
    expect(kept.goneAt).toBeGreaterThan(last);
  });

  test('leaves what is used now and then, and takes it when that ends', () => {
    const { clock, lodger, pass } = house(400);
    const used = lodger();
    for (let i = 0; i < 20; i++) {
      pass(300);
      used.use();
    }
    expect(used.state).toBe('active');
    const last = clock.now();
    pass(800);
    expect((used.goneAt as number) - last).toBeGreaterThanOrEqual(400);
  });

  test('leaves what is busy, kept alive, or never to be collected', () => {
    const { clock, lodger, pass } = house(200);
    const [busy, kept, never] = [lodger(), lodger(), lodger({ keepAlive: true })];
    busy.busy = true;
    kept.keepUntil = clock.now() + 1_000;
    pass(900);
    expect([busy.state, kept.state, never.state]).toEqual(['active', 'active', 'active']);
    pass(600);
    expect([busy.state, kept.state, never.state]).toEqual(['active', 'gone', 'active']);
    busy.busy = false;
    pass(600);
    expect(busy.state).toBe('gone');
  });

  test('gives each class its own time', () => {
    const { lodger, pass } = house(1_000, 50);
    const [brief, usual, long] = [lodger({ idleMs: 50 }), lodger(), lodger({ idleMs: 3_000 })];
    pass(150);
    expect([brief.state, usual.state, long.state]).toEqual(['gone', 'active', 'active']);
    pass(1_000);
    expect([usual.state, long.state]).toEqual(['gone', 'active']);
    pass(2_000);
    expect(long.state).toBe('gone');
  });

  test('takes very many in several goes, and catches up after a pause', () => {
    const { clock, lodger, pass } = house(100);
    const many = Array.from({ length: 12_000 }, () => lodger());
    clock.advance(60_000);
    pass(500);
    expect(many.filter(({ state }) => state === 'active')).toHaveLength(0);
  });

  test('takes few at a time, so that calls get in between', () => {
    const { clock, lodger } = house(100);
    const many = Array.from({ length: 2_000 }, () => lodger());
    const counts: number[] = [];
    for (let gone = 0; gone < many.length; ) {
      clock.advance(1);
      const now = many.filter(({ state }) => state === 'gone').length;
      counts.push(now - gone);
      gone = now;
    }
    expect(Math.max(...counts)).toBeLessThanOrEqual(250);
  });

  test('leaves no timer when it is stopped', () => {
    const { clock, collector } = house(100);
    expect(clock.timers).toBe(1);
    collector.stop();
    expect(clock.timers).toBe(0);
  });
});
