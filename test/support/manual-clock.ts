import type { Clock, Timer } from '../../framework/system/clock.ts';

interface Waiting {
  readonly at: number;
  readonly callback: () => void;
}

/** A clock that stands still until it is told to advance. */
export class ManualClock implements Clock {
  #now: number;
  readonly #timers = new Set<Waiting>();
  #deferred: (() => void)[] = [];
  readonly #afterIO: (() => void)[] = [];

  constructor(now = 0) {
    this.#now = now;
  }

  /** Timers that have neither fired nor been cancelled. */
  get timers(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  recent(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.#now;
  }

  after(delayMs: number, callback: () => void): Timer {
    const waiting: Waiting = { at: this.#now + delayMs, callback };
    this.#timers.add(waiting);
    return { cancel: () => this.#timers.delete(waiting) };
  }

  inBackground(delayMs: number, callback: () => void): Timer {
    return this.after(delayMs, callback);
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback);
  }

  afterIO(callback: () => void): void {
    this.#afterIO.push(callback);
  }

  /** The event loop goes round: what was deferred, then what waited for I/O. */
  goRound(): void {
    this.runDeferred();
    for (const callback of this.#afterIO.splice(0)) callback();
  }

  /** Does what was deferred. */
  runDeferred(): void {
    for (const callback of this.#deferred.splice(0)) callback();
  }

  /** Time passes; timers fire at their times, in order. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (let next = this.#next(until); next; next = this.#next(until)) {
      this.#timers.delete(next);
      this.#now = next.at;
      next.callback();
    }
    this.#now = until;
  }

  /** Time passes while the process does nothing: what is due fires late, at the end. */
  freeze(ms: number): void {
    this.#now += ms;
    const due = [...this.#timers].filter((timer) => timer.at <= this.#now).sort((a, b) => a.at - b.at);
    for (const timer of due) if (this.#timers.delete(timer)) timer.callback();
  }

  #next(until: number): Waiting | undefined {
    let next: Waiting | undefined;
    for (const timer of this.#timers) if (timer.at <= until && (!next || timer.at < next.at)) next = timer;
    return next;
  }
}
