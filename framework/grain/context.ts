import type { Logger } from 'pino';
import type { GrainId, GrainKey } from '../identity/grain-id.ts';
import type { Random } from '../system/random.ts';
import type { GrainTimer, TimerOptions } from './grain-timer.ts';
import type { GrainGroups } from './groups.ts';
import type { Reminder, RemindOptions } from './reminder-options.ts';
import type { ReplayFrom } from './subscribe-options.ts';

/** What a grain knows of itself and of the call that runs. */
export interface GrainContext {
  /** The grain's canonical name, `Type/key`. */
  readonly id: GrainId;
  /** Unique to this activation. */
  readonly activationId: string;
  /** Name of the silo that this activation lives on. */
  readonly silo: string;
  /** A logger that names the grain in every line. */
  readonly log: Logger;
  /** Chance that a simulation can replay: `random.next()` in [0, 1), `random.id()`. */
  readonly random: Random;
  /** Aborted when the running call is cancelled or past its deadline. */
  readonly signal: AbortSignal;
  /** Baggage of the running call: what its callers gave with `$with({ request })`. Frozen. */
  readonly request: Readonly<Record<string, unknown>>;
  /** Process groups: this grain joins, leaves, and calls all members. */
  readonly groups: GrainGroups;
  /** Wall-clock time in milliseconds; a simulation owns it. */
  now(): number;
  /** Ends this activation when the turns that run are done. The next call makes a new one. */
  deactivate(): void;
  /**
   * Moves this grain when the turns that run are done: to the silo of that name, where it then stays, or to
   * where its placement puts it. State fields go along as they are, and what `onDehydrate` returns. Throws
   * `NoSiloError` when there is no such silo, or it cannot have the grain.
   */
  migrate(silo?: string): void;
  /** Not collected for being idle for at least `ms` milliseconds from now. */
  keepAlive(ms: number): void;
  /**
   * Runs `callback` later, once or again and again, as a turn of this grain. A timer of that name that there
   * is already makes room. Ends with the activation; `signal` aborts then. What `callback` throws is
   * published (`timerFailed`) and logged, and the timer goes on. Not in the constructor: in `onActivate`, or
   * in a turn. Throws `InvalidConfigError`, and `OverloadedError` when the activation has too many.
   */
  timer(name: string, options: TimerOptions, callback: () => unknown): GrainTimer;
  timer(options: TimerOptions, callback: () => unknown): GrainTimer;
  /**
   * Sets the reminder of a `@reminder(name)` method, in place of the one that there is: durable, at least
   * once, also when the grain is active nowhere. One that repeats and is set already with the same options
   * is left as it is, so that `onActivate` may ask for it each time. Throws `InvalidConfigError` when there
   * is no such method, an option is wrong, or no store keeps reminders; `StoreError` when the outcome is
   * unknown.
   */
  remind(name: string, options: RemindOptions): Promise<Reminder>;
  /**
   * Takes a reminder back: when this has resolved, no tick of it begins any more. False when it was not set.
   * Throws `InvalidConfigError` and `StoreError`, as `remind`.
   */
  forget(name: string): Promise<boolean>;
  /** The reminders of this grain that are set, by name. */
  reminders(): Promise<readonly Reminder[]>;
  /**
   * From now on this grain gets the events of that key, also after all silos have restarted, until it
   * unsubscribes. Its class needs a handler with `explicit: true`. `from`: `'new'` (the default), `'start'`
   * for all that the log has, the number of the first event, or a time. A subscription that there is already
   * stays as it is. Rejects with `InvalidConfigError` or `EventLogError`.
   */
  subscribe(topic: string, key: GrainKey, options?: { readonly from?: ReplayFrom }): Promise<void>;
  /** Ends a subscription. What is on its way may still come. */
  unsubscribe(topic: string, key: GrainKey): Promise<void>;
  /** The etag that a record was read or written with last; undefined when it is not stored. */
  etag(record?: string): string | undefined;
}
