import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { DETECTION, Heartbeats } from '../../../framework/membership/failure-detector.ts';

const { heartbeatMs, probeMs, suspectMs } = DETECTION;

/** Heartbeats heard at these distances, the first at 0. */
function heardAfter(gaps: readonly number[]): { heartbeats: Heartbeats; now: number } {
  const heartbeats = new Heartbeats(DETECTION, 0);
  let now = 0;
  for (const gap of gaps) {
    now += gap;
    heartbeats.heard(now);
  }
  return { heartbeats, now };
}

const gaps = fc.array(fc.integer({ min: 1, max: 20_000 }), { maxLength: 40 });

describe('a silo that is heard', () => {
  test('in time is fine; after a while it is asked; after a longer while it is suspected', () => {
    const { heartbeats, now } = heardAfter(new Array<number>(20).fill(heartbeatMs));
    const verdicts = [heartbeatMs, probeMs, probeMs + 1, suspectMs, suspectMs + 1].map((ms) =>
      heartbeats.judge(now + ms),
    );
    expect(verdicts).toEqual(['fine', 'fine', 'probe', 'probe', 'suspect']);
  });

  it('is suspected between once and one and a half times the set time, however irregular it was', () => {
    fc.assert(
      fc.property(gaps, (all) => {
        const { heartbeats, now } = heardAfter(all);
        expect(heartbeats.judge(now + suspectMs)).not.toBe('suspect');
        expect(heartbeats.judge(now + 1.5 * suspectMs + 1)).toBe('suspect');
      }),
    );
  });

  it('only looks worse as silence lasts', () => {
    const ranks = { fine: 0, probe: 1, suspect: 2 };
    fc.assert(
      fc.property(gaps, fc.nat({ max: 5_000 }), fc.nat({ max: 5_000 }), (all, one, more) => {
        const { heartbeats, now } = heardAfter(all);
        const [first, later] = [heartbeats.judge(now + one), heartbeats.judge(now + one + more)];
        expect(ranks[later]).toBeGreaterThanOrEqual(ranks[first]);
      }),
    );
  });

  test('slowly gets more time than one that is usually quick, and loses it again when it is quick', () => {
    const slow = heardAfter(new Array<number>(30).fill(350));
    expect(slow.heartbeats.suspectMs).toBeGreaterThan(suspectMs);
    for (let i = 1; i <= 60; i++) slow.heartbeats.heard(slow.now + i * heartbeatMs);
    expect(slow.heartbeats.suspectMs).toBeCloseTo(suspectMs, 0);
  });

  test('again is fine at once, and excused when the observer could not hear', () => {
    const { heartbeats, now } = heardAfter([heartbeatMs]);
    heartbeats.excuse(now + 10_000);
    expect(heartbeats.judge(now + 10_000)).toBe('fine');
    expect(heartbeats.judge(now + 10_000 + 2 * suspectMs)).toBe('suspect');
    heartbeats.heard(now + 30_000);
    expect(heartbeats.judge(now + 30_000)).toBe('fine');
  });
});
