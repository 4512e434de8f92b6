import { LIMITS } from '../limits.ts';

/** Whether a value can be an idempotency key: a text that is neither empty nor too long. */
export function isIdempotencyKey(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= LIMITS.idempotencyKeyChars;
}
