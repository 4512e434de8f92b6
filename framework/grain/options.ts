import type { Labels } from '../identity/labels.ts';
import type { Placement } from '../placement/placement.ts';
import type { ArgumentsSchema } from './arguments-schema.ts';
import type { IncomingInterceptor } from './interceptors.ts';
import type { RetryOptions } from './retry.ts';
import type { StandardSchema } from './standard-schema.ts';

/** What `@grain(...)` takes. */
export interface GrainOptions {
  /** The type's name on the wire and in stores. Default: the class's name. */
  readonly name?: string;
  /** Where new activations go. Default `'ring'`. */
  readonly placement?: PlacementOption;
  /** Labels that a silo must have to be a place for these grains: `{ gpu: true }`. */
  readonly requires?: Labels;
  /** Labels that a silo should have: of the possible ones those with most of them come into question. */
  readonly prefers?: Labels;
  /**
   * `true`: calls run interleaved at their awaits. `'callChain'`: only a call that comes back within its own
   * chain does, which would be a deadlock otherwise. Default `false`: one call at a time.
   */
  readonly reentrant?: boolean | 'callChain';
  /** Milliseconds without a call after which an activation is collected. Default: the silo's, ten minutes. */
  readonly idleMs?: number;
  /** Name of the store for this class's state. Default `'default'`. */
  readonly store?: string;
  /** Never collect an idle activation of this class. Default `false`. */
  readonly keepAlive?: boolean;
  /** Calls that may wait for one activation; more are refused with `OverloadedError`. Default 10,000. */
  readonly mailboxMax?: number;
  /**
   * How many calls with an `idempotencyKey` a grain remembers, the latest; what they answered is part of its
   * record `'state'`. Default 128.
   */
  readonly idempotencyKeys?: number;
  /**
   * Stand around the calls that run in grains of this class, within the silo's; the first is the outermost. A
   * class has those of its parent classes too, outside of its own.
   */
  readonly interceptors?: readonly IncomingInterceptor[];
}

/**
 * `'ring'`: on the silo that the ring names. `'preferLocal'`: on the caller's silo. `'random'`;
 * `'leastLoaded'`: on the silo with the fewest activations. `{ workers: n }`: stateless, up to `n`
 * activations on each silo, calls run wherever they are made. Or a `Placement` of your own.
 */
export type PlacementOption =
  | 'ring'
  | 'preferLocal'
  | 'random'
  | 'leastLoaded'
  | { readonly workers: number }
  | Placement;

/** What `@method(...)` takes. */
export interface MethodOptions {
  /** Changes nothing: runs beside other read-only calls, and is tried again when a silo is lost. */
  readonly readOnly?: boolean;
  /** Runs at once, between the awaits of whatever runs already. */
  readonly interleave?: boolean;
  /** The caller does not wait, and does not learn the outcome. */
  readonly oneWay?: boolean;
  /** May run twice with the effect of once: is tried again when a silo is lost. */
  readonly idempotent?: boolean;
  /** Deadline of calls to this method in milliseconds, unless the caller chose one. */
  readonly timeoutMs?: number;
  /**
   * What the arguments must be, as Standard Schemas (zod, valibot, arktype, ...): one for the list of them,
   * or a list of one for each. A call that they refuse fails with `InvalidArgumentsError` and does not run;
   * the method gets what they make of the arguments.
   */
  readonly args?: ArgumentsSchema;
  /** How calls of this method are made again that fail with what may pass, unless the caller chose. */
  readonly retry?: RetryOptions;
}

/** What `@state(...)` takes. */
export interface StateOptions {
  /** Name of the store. Default: the class's. */
  readonly store?: string;
  /** Name of the record; fields of one name are saved together, under one etag. Default `'state'`. */
  readonly name?: string;
  /**
   * Version of the record's fields. One of them says it for all. Default 1. A record of a higher version is
   * refused with `StateVersionError`; one of a lower version goes through `migrate` when it is read.
   */
  readonly version?: number;
  /**
   * The steps from older versions to this one, by the version that each makes:
   * `{ 2: (stored) => ({ ... }) }`. They run when an older record is read; what they made is written with
   * the next save.
   */
  readonly migrate?: Readonly<Record<number, StateMigration>>;
  /**
   * What a stored value of this field must be, as a Standard Schema (zod, valibot, arktype, ...): checked
   * when the record is read, after `migrate`. The field gets what the schema makes of it.
   */
  readonly schema?: StandardSchema<unknown, unknown>;
}

/** Fields of a record as they are stored, by name; also such as the class does not have. */
export type StoredFields = Record<string, unknown>;

/**
 * Makes the fields of one version of those of the version before. It must not wait: the same fields always
 * give the same ones. Its parameter may have a type that says what the older version was.
 */
export type StateMigration = { step(stored: StoredFields): object }['step'];

/** What `ref.$with(...)` takes. */
export interface CallOptions {
  /** Milliseconds until the call fails with `CallTimeoutError`; at least 1 and at most a day. */
  readonly timeoutMs?: number;
  /** Cancels the call: it fails with `CallCancelledError`, and the grain's `context.signal` aborts. */
  readonly signal?: AbortSignal;
  /** Send and do not wait: the promise resolves when the call was sent. */
  readonly oneWay?: boolean;
  /** Baggage: what `context.request` shows to the grain, and to the grains that it calls. */
  readonly request?: Readonly<Record<string, unknown>>;
  /**
   * Makes the call again when it fails with what may pass, until its deadline: for methods that are
   * `readOnly` or `idempotent`, and calls with an `idempotencyKey`. Others fail with `InvalidConfigError`.
   */
  readonly retry?: RetryOptions;
  /**
   * Names what is to happen once: however often the call is made with this key, and whatever crashes between,
   * the grain changes once, and the answer is always the same. Up to 256 characters; see docs/state.md.
   */
  readonly idempotencyKey?: string;
}

/** Why an activation ends: `onDeactivate(reason)`. */
export type DeactivationReason =
  | 'idle'
  | 'requested'
  | 'shutdown'
  | 'migrated'
  | 'conflict'
  | 'stateConflict'
  | 'storeFailed'
  | 'keyedCallFailed';
