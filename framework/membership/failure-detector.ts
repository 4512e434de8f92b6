/** Times that decide when a silent silo counts as gone, in milliseconds. */
export interface DetectionTimes {
  /** Spacing of heartbeats. */
  readonly heartbeatMs: number;
  /**
   * Silence after which a silo is asked whether it is there: a dead process answers at once, through the
   * transport, that it is not.
   */
  readonly probeMs: number;
  /**
   * Silence after which a silo that exists but says nothing (frozen, starved, cut off) counts as unreachable.
   */
  readonly suspectMs: number;
}

export const DETECTION: DetectionTimes = Object.freeze({ heartbeatMs: 250, probeMs: 600, suspectMs: 2_000 });

export type Verdict = 'fine' | 'probe' | 'suspect';

/**
 * How one silo's silence is judged: against a bound that stretches with the usual spacing of its heartbeats,
 * as in the accrual detectors (Hayashibara et al. 2004) but with a hard end, so that a frozen silo is found
 * in bounded time however irregular it was before. Pure: time is an argument.
 */
export class Heartbeats {
  readonly #times: DetectionTimes;
  #lastHeard: number;
  #spacing: number;

  constructor(times: DetectionTimes, now: number) {
    this.#times = times;
    this.#lastHeard = now;
    this.#spacing = times.heartbeatMs;
  }

  heard(now: number): void {
    const gap = now - this.#lastHeard;
    this.#lastHeard = now;
    this.#spacing += (Math.min(gap, this.#times.suspectMs) - this.#spacing) / 8;
  }

  /** Forgets the silence so far: the observer itself was away and could not have heard. */
  excuse(now: number): void {
    this.#lastHeard = now;
  }

  heardWithin(ms: number, now: number): boolean {
    return now - this.#lastHeard < ms;
  }

  judge(now: number): Verdict {
    const silence = now - this.#lastHeard;
    if (silence > this.suspectMs) return 'suspect';
    return silence > this.#times.probeMs ? 'probe' : 'fine';
  }

  /** The present bound: eight usual spacings, between one and one and a half times `suspectMs`. */
  get suspectMs(): number {
    const { suspectMs } = this.#times;
    return Math.min(Math.max(8 * this.#spacing, suspectMs), 1.5 * suspectMs);
  }
}
