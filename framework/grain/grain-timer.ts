/** When a timer ticks. */
export interface TimerSchedule {
  /** Milliseconds until the first tick. Default: `periodMs`. */
  readonly dueMs?: number;
  /** Milliseconds from the end of one tick to the next. Without it the timer ticks once. */
  readonly periodMs?: number;
}

/** What `this.context.timer(...)` takes. */
export interface TimerOptions extends TimerSchedule {
  /**
   * Ticks run at once, between the awaits of whatever runs, as methods marked `interleave` do. Default: a
   * tick waits for its turn like a call. It never runs beside another tick of the same timer.
   */
  readonly interleave?: boolean;
  /**
   * While the timer is to tick, the activation is not collected for being idle. Default `false`: ticks do not
   * count as use, and the timer goes with the activation.
   */
  readonly keepAlive?: boolean;
}

/** A timer of one activation. `using` disposes of it at the end of its block. */
export interface GrainTimer {
  /** Its name, or the number that it was given when it was made without one. */
  readonly name: string;
  /**
   * Gives it another schedule, in place of the whole one that it has: a tick that waits does not run, and
   * the new times count from now, or from the end of the tick that runs. A timer that has ticked for the last
   * time begins anew. Throws `InvalidConfigError` when the schedule is wrong, and when the timer was disposed
   * of or replaced; does nothing in an activation that ends.
   */
  change(schedule: TimerSchedule): void;
  /** No tick begins any more, not even one that waits already. May be called any number of times. */
  dispose(): void;
  [Symbol.dispose](): void;
}

/** With a name or without. */
export type TimerArguments =
  | readonly [name: string, options: TimerOptions, callback: () => unknown]
  | readonly [options: TimerOptions, callback: () => unknown];
