import { InvalidConfigError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { checkKnown, checkNumber } from './checks.ts';

/**
 * How a call is made again that has failed with what may pass: an error whose `retryable` is true, Granary's
 * or your own. Never beyond the call's deadline, and only for methods that are read-only or idempotent, and
 * calls with an `idempotencyKey`.
 */
export interface RetryOptions {
  /** How often the call is made at most, the first time included. */
  readonly attempts: number;
  /**
   * Milliseconds after which one attempt counts as failed. Default: all that is left until the deadline, so
   * that an answer that does not come is not asked for again.
   */
  readonly attemptTimeoutMs?: number;
  /**
   * The longest pause after the first attempt, in milliseconds; after each further one it is twice as long.
   * The pause is a random part of it, so that callers that failed together do not come again together.
   * Default 50.
   */
  readonly delayMs?: number;
  /** What the longest pause grows to, in milliseconds. Default 2,000. */
  readonly maxDelayMs?: number;
}

const RETRY_OPTIONS: readonly (keyof RetryOptions)[] = [
  'attempts',
  'attemptTimeoutMs',
  'delayMs',
  'maxDelayMs',
];

/** Throws `InvalidConfigError` unless it is what `retry` may be. */
export function checkRetry(where: string, retry: RetryOptions | undefined): void {
  if (retry === undefined) return;
  if (typeof retry !== 'object' || retry === null)
    throw new InvalidConfigError(`${where}: retry is no object; pass { attempts: 3 }, say`);
  checkKnown(`${where}: retry`, retry, RETRY_OPTIONS);
  const { attempts, attemptTimeoutMs, delayMs, maxDelayMs } = retry;
  if (!Number.isInteger(attempts) || attempts < 1 || attempts > LIMITS.attempts) {
    const range = `a whole number from 1 to ${LIMITS.attempts}`;
    throw new InvalidConfigError(`${where}: retry: attempts is ${String(attempts)}; it must be ${range}`);
  }
  const times = { attemptTimeoutMs, delayMs, maxDelayMs };
  for (const [option, ms] of Object.entries(times)) {
    checkNumber(`${where}: retry`, option, ms, 1, LIMITS.callTimeoutMaxMs);
  }
}
