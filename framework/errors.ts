/**
 * Every failure that Granary itself reports: one class each, one stable code each. Codes cross the wire;
 * names and messages are for people. `retryable` says that the same call may succeed later without a change,
 * not that it did not run: where that is known, Granary has retried already.
 */

export interface GranaryErrorOptions {
  /** The grain that it happened to, as `Type/key`. */
  readonly grain?: string;
  readonly cause?: unknown;
}

/** What all of Granary's errors have in common. */
export abstract class GranaryError extends Error {
  abstract readonly code: string;
  readonly retryable: boolean = false;
  /** The grain that it happened to, as `Type/key`, where there is one. */
  declare readonly grain?: string;

  constructor(message: string, options: GranaryErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    Object.defineProperty(this, 'name', { value: new.target.name, configurable: true, writable: true });
    if (options.grain !== undefined) this.grain = options.grain;
  }
}

/** The deadline passed without an answer. The call may have run: the outcome is unknown. */
export class CallTimeoutError extends GranaryError {
  readonly code = 'CALL_TIMEOUT';
  override readonly retryable = true;
}

/** The caller cancelled the call. It may have run. */
export class CallCancelledError extends GranaryError {
  readonly code = 'CALL_CANCELLED';
}

/**
 * The silo that had the call was lost before it answered (outcome unknown), or could not be reached until the
 * deadline (not run).
 */
export class SiloUnavailableError extends GranaryError {
  readonly code = 'SILO_UNAVAILABLE';
  override readonly retryable = true;
}

/** No silo of the cluster was found until the deadline. The call did not run. */
export class NoSiloError extends GranaryError {
  readonly code = 'NO_SILO';
  override readonly retryable = true;
}

/** No silo of the cluster has a grain class of that name. */
export class GrainTypeNotFoundError extends GranaryError {
  readonly code = 'GRAIN_TYPE_NOT_FOUND';
}

/** The grain has no method of that name that `@method()` makes callable. */
export class MethodNotFoundError extends GranaryError {
  readonly code = 'METHOD_NOT_FOUND';
}

/** Not a key: empty, too long, or of a type that cannot be one. */
export class InvalidKeyError extends GranaryError {
  readonly code = 'INVALID_KEY';
}

/** A value cannot travel. `path` says which one, as in `args[0].handler`. */
export class NotSerializableError extends GranaryError {
  readonly code = 'NOT_SERIALIZABLE';
  readonly path: string;

  constructor(message: string, options: GranaryErrorOptions & { path?: string } = {}) {
    super(message, options);
    this.path = options.path ?? '';
  }
}

/** A call or a result is larger than the cluster takes. Nothing was sent. */
export class PayloadTooLargeError extends GranaryError {
  readonly code = 'PAYLOAD_TOO_LARGE';
}

/**
 * The stored record is not the one that was read: somebody else wrote. The activation ends; the next call
 * starts from the store.
 */
export class StateConflictError extends GranaryError {
  readonly code = 'STATE_CONFLICT';
  override readonly retryable = true;
}

/**
 * The store failed. After a failed write the outcome is unknown; the activation ends and the next call reads
 * the truth.
 */
export class StoreError extends GranaryError {
  readonly code = 'STORE_FAILED';
  override readonly retryable = true;
}

/**
 * The stored record has a version of its state that this code cannot read: newer code wrote it, or it is so
 * old that the class has no `migrate` step for it any more. Nothing was overwritten.
 */
export class StateVersionError extends GranaryError {
  readonly code = 'STATE_VERSION';
  /** The version that is stored, and the one that this code has. */
  readonly stored: number;
  readonly known: number;

  constructor(message: string, options: GranaryErrorOptions & { stored?: number; known?: number } = {}) {
    super(message, options);
    this.stored = options.stored ?? 0;
    this.known = options.known ?? 0;
  }
}

/**
 * What is stored is no state of the class: a schema refuses a field, which `path` names, or a `migrate` step
 * threw, which is the `cause`. Nothing was written.
 */
export class InvalidStateError extends GranaryError {
  readonly code = 'INVALID_STATE';
  readonly path: string;

  constructor(message: string, options: GranaryErrorOptions & { path?: string } = {}) {
    super(message, options);
    this.path = options.path ?? '';
  }
}

/**
 * The idempotency key belongs to another call to that grain: of another method, or with other arguments. The
 * call did not run.
 */
export class IdempotencyKeyReusedError extends GranaryError {
  readonly code = 'IDEMPOTENCY_KEY_REUSED';
}

/**
 * The log of events failed, or could not be reached until the deadline. Whether a published event is in it
 * is unknown then.
 */
export class EventLogError extends GranaryError {
  readonly code = 'EVENT_LOG_FAILED';
  override readonly retryable = true;
}

/** The constructor or `onActivate` threw; `cause` is what it threw. */
export class ActivationError extends GranaryError {
  readonly code = 'ACTIVATION_FAILED';
}

/**
 * The call can never run: it waits for a grain that waits for it. `cycle` lists the grains, the first
 * repeated at the end.
 */
export class DeadlockError extends GranaryError {
  readonly code = 'DEADLOCK';
  readonly cycle: readonly string[];

  constructor(message: string, options: GranaryErrorOptions & { cycle?: readonly string[] } = {}) {
    super(message, options);
    this.cycle = options.cycle ?? [];
  }
}

/** One thing that is wrong with a value; `path` says where, as in `args[0].items[2].price`. */
export interface SchemaIssue {
  readonly path: string;
  readonly message: string;
}

/** The schemas of a method's arguments refuse what it was called with. The method did not run. */
export class InvalidArgumentsError extends GranaryError {
  readonly code = 'INVALID_ARGUMENTS';
  readonly method: string;
  readonly issues: readonly SchemaIssue[];

  constructor(
    message: string,
    options: GranaryErrorOptions & { method?: string; issues?: readonly SchemaIssue[] } = {},
  ) {
    super(message, options);
    this.method = options.method ?? '';
    this.issues = options.issues ?? [];
  }
}

/** A queue is full. The call did not run. */
export class OverloadedError extends GranaryError {
  readonly code = 'OVERLOADED';
  override readonly retryable = true;
}

/**
 * There is nobody to call behind an observer's reference. `unobserved` and `closed`: its program said so, and
 * it stays so. `unreachable`: nobody listens where it was; its program has ended, or lost its connection.
 */
export class ObserverGoneError extends GranaryError {
  readonly code = 'OBSERVER_GONE';
  readonly reason: 'unobserved' | 'closed' | 'unreachable';

  constructor(message: string, options: GranaryErrorOptions & { reason?: ObserverGoneError['reason'] } = {}) {
    super(message, options);
    this.reason = options.reason ?? 'unreachable';
  }
}

/** An option, a grain class or a cluster's setting is wrong; found at start, a call's option at the call. */
export class InvalidConfigError extends GranaryError {
  readonly code = 'INVALID_CONFIG';
}

/** All of Granary's errors by code: the table that the wire and the documentation use. */
export const ERRORS = {
  CALL_TIMEOUT: CallTimeoutError,
  CALL_CANCELLED: CallCancelledError,
  SILO_UNAVAILABLE: SiloUnavailableError,
  NO_SILO: NoSiloError,
  GRAIN_TYPE_NOT_FOUND: GrainTypeNotFoundError,
  METHOD_NOT_FOUND: MethodNotFoundError,
  INVALID_KEY: InvalidKeyError,
  NOT_SERIALIZABLE: NotSerializableError,
  PAYLOAD_TOO_LARGE: PayloadTooLargeError,
  STATE_CONFLICT: StateConflictError,
  STORE_FAILED: StoreError,
  STATE_VERSION: StateVersionError,
  INVALID_STATE: InvalidStateError,
  IDEMPOTENCY_KEY_REUSED: IdempotencyKeyReusedError,
  EVENT_LOG_FAILED: EventLogError,
  ACTIVATION_FAILED: ActivationError,
  DEADLOCK: DeadlockError,
  INVALID_ARGUMENTS: InvalidArgumentsError,
  OVERLOADED: OverloadedError,
  OBSERVER_GONE: ObserverGoneError,
  INVALID_CONFIG: InvalidConfigError,
} as const;

export type ErrorCode = keyof typeof ERRORS;

/**
 * Fails loudly on a broken assumption of the runtime itself. On in production: a wrong answer is worse than a
 * stop.
 */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`Granary broke an assumption of its own: ${message}`);
}
