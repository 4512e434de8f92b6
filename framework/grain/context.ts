import type { Logger } from 'pino';
import type { GrainId } from '../identity/grain-id.ts';
import type { Random } from '../system/random.ts';
import type { GrainTimer, TimerOptions } from './grain-timer.ts';
import type { GrainGroups } from './groups.ts';

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
   * is already makes room. Ends with the activation; `signal` aborts then. What `callback` throws is published
   * (`timerFailed`) and logged, and the timer goes on. Not in the constructor: in `onActivate`, or in a turn.
   * Throws `InvalidConfigError`, and `OverloadedError` when the activation has too many.
   */
  timer(name: string, options: TimerOptions, callback: () => unknown): GrainTimer;
  timer(options: TimerOptions, callback: () => unknown): GrainTimer;
  /** The etag that a record was read or written with last; undefined when it is not stored. */
  etag(record?: string): string | undefined;
}
