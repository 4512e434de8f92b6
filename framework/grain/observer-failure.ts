import { GranaryError, ObserverGoneError } from '../errors.ts';
import type { GrainId } from '../identity/grain-id.ts';

/**
 * What a failed call says of the one that was called: that it is `gone` for good, that it was `unreachable`
 * or `silent` this time, that it is there and answered with an error of its `own`, or nothing, since the call
 * did not get that far (`elsewhere`).
 */
export type Failure = 'gone' | 'unreachable' | 'silent' | 'own' | 'elsewhere';

/** Codes of calls that did not come to who was called, through no fault of the latter. */
const ELSEWHERE: ReadonlySet<string> = new Set([
  'CALL_CANCELLED',
  'NO_SILO',
  'NOT_SERIALIZABLE',
  'OVERLOADED',
  'PAYLOAD_TOO_LARGE',
  'SILO_UNAVAILABLE',
]);

export function failureOf(error: unknown, observer: GrainId): Failure {
  // An error about another is what the observer's method got from a call of its own.
  if (!(error instanceof GranaryError) || error.grain !== observer) return 'own';
  if (error instanceof ObserverGoneError) return error.reason === 'unreachable' ? 'unreachable' : 'gone';
  if (error.code === 'CALL_TIMEOUT') return 'silent';
  return ELSEWHERE.has(error.code) ? 'elsewhere' : 'own';
}
