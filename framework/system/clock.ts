/** A running timer. `cancel` may be called any number of times, also after it fired. */
export interface Timer {
  cancel(): void;
}

/**
 * The runtime's only source of time. Everything in `framework/` that waits, or asks what time it is, asks a
 * clock, so that a simulator can own all of them.
 */
export interface Clock {
  /** Monotonic time in milliseconds from an arbitrary origin; never goes back. */
  now(): number;
  /**
   * What `now` said last, to anybody: for what need not be exact. To ask the machine costs as much as a plain
   * async call; this is free, and late by no more than the pause between two heartbeats.
   */
  recent(): number;
  /** Milliseconds since 1970 (UTC); may jump. */
  wallNow(): number;
  /** Calls back once, not before `delayMs` have passed. Somebody waits for it: it keeps the process alive. */
  after(delayMs: number, callback: () => void): Timer;
  /** The same for what nobody waits for, heartbeats and housekeeping: does not keep the process alive. */
  inBackground(delayMs: number, callback: () => void): Timer;
  /** Calls back when the JavaScript that runs now, and the microtasks it made, are done, before any I/O. */
  defer(callback: () => void): void;
  /** Calls back when that, and the I/O that waits by then, is done: long work goes on so, in slices. */
  afterIO(callback: () => void): void;
}

class SystemTimer implements Timer {
  readonly #timeout: NodeJS.Timeout;

  constructor(delayMs: number, callback: () => void, background: boolean) {
    this.#timeout = setTimeout(callback, delayMs);
    if (background) this.#timeout.unref();
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }
}

let latest = performance.now();

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => {
    latest = performance.now();
    return latest;
  },
  recent: () => latest,
  wallNow: () => Date.now(),
  after: (delayMs, callback) => new SystemTimer(delayMs, callback, false),
  inBackground: (delayMs, callback) => new SystemTimer(delayMs, callback, true),
  defer: (callback) => process.nextTick(callback),
  afterIO: (callback) => void setImmediate(callback),
};

/** Resolves after `delayMs`, or at once when `signal` aborts. Never rejects. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.after(delayMs, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}
