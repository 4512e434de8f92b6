import { fieldsCopied } from './copy.ts';
import { type Thrown, thrownFrom, thrownOf } from './error-record.ts';
import { isError } from './kinds.ts';
import type { RefBinder } from './references.ts';

/**
 * The record of whatever a grain threw, ready for `pack`. A thrown value that cannot travel is told by its
 * text.
 */
export function encodeError(thrown: unknown): Thrown {
  return recordOfThrown(thrown, undefined);
}

/**
 * The error of a record that came from anyone; throws `MalformedError` for what is none. What was thrown and
 * is no error comes as the `cause` of one, so that callers can rely on catching errors.
 */
export function decodeError(record: unknown): Error {
  const thrown = thrownFrom(record);
  if (isError(thrown)) return thrown;
  return new Error(`the grain threw a value that is not an error: ${textOf(thrown)}`, { cause: thrown });
}

/** What a caller in the same process gets: the same as one elsewhere. */
export function copyError(thrown: unknown, rebind?: RefBinder): Error {
  return decodeError(recordOfThrown(thrown, rebind));
}

function recordOfThrown(thrown: unknown, rebind: RefBinder): Thrown {
  return thrownOf(thrown, fieldsCopied(rebind)) ?? { value: textOf(thrown) };
}

function textOf(value: unknown): string {
  try {
    return typeof value === 'string' ? value : String(value);
  } catch {
    return 'a value that has no text';
  }
}
