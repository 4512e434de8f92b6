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

/** A queue is full. The call did not run. */
export class OverloadedError extends GranaryError {
  readonly code = 'OVERLOADED';
  override readonly retryable = true;
}

/** An option, a grain class or a cluster's setting is wrong; found at start. */
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
  ACTIVATION_FAILED: ActivationError,
  DEADLOCK: DeadlockError,
  OVERLOADED: OverloadedError,
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
