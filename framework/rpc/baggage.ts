import { PayloadTooLargeError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { pack, unpack } from '../serialization/codec.ts';

const NOTHING: Readonly<Record<string, unknown>> = Object.freeze({});

/** Adds to the baggage that a call inherits. Throws `PayloadTooLargeError` and `NotSerializableError`. */
export function mergeBaggage(
  inherited: Uint8Array | undefined,
  added: Readonly<Record<string, unknown>> | undefined,
): Uint8Array | undefined {
  if (!added) return inherited;
  const bytes = pack({ ...readBaggage(inherited), ...added }, 'request');
  if (bytes.length > LIMITS.baggageBytes) {
    throw new PayloadTooLargeError(
      `the baggage has ${bytes.length} bytes, the limit is ${LIMITS.baggageBytes}`,
    );
  }
  return bytes;
}

/** The baggage as a frozen object; a malformed one is empty. */
export function readBaggage(bytes: Uint8Array | undefined): Readonly<Record<string, unknown>> {
  if (!bytes) return NOTHING;
  try {
    const baggage = unpack(bytes);
    return isBaggage(baggage) ? Object.freeze(baggage) : NOTHING;
  } catch {
    return NOTHING;
  }
}

function isBaggage(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
