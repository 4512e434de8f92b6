import type { Placement } from '../placement/placement.ts';

/** What `@grain(...)` takes. */
export interface GrainOptions {
  /** The type's name on the wire and in stores. Default: the class's name. */
  readonly name?: string;
  /** Where new activations go. Default `'ring'`. */
  readonly placement?: PlacementOption;
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
}

/** What `@state(...)` takes. */
export interface StateOptions {
  /** Name of the store. Default: the class's. */
  readonly store?: string;
  /** Name of the record; fields of one name are saved together, under one etag. Default `'state'`. */
  readonly name?: string;
}

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
}

/** Why an activation ends: `onDeactivate(reason)`. */
export type DeactivationReason =
  | 'idle'
  | 'requested'
  | 'shutdown'
  | 'conflict'
  | 'stateConflict'
  | 'storeFailed';
