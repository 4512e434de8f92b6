/**
 * Bytes that are not what they claim to be: truncated, foreign, damaged or hostile. Internal: whoever reads
 * from the network counts and drops them, whoever reads a stored record turns it into an error of its own.
 */
export class MalformedError extends Error {
  override readonly name = 'MalformedError';
}
