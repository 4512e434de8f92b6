import { FIRST_VERSION } from '../grain/check-shape.ts';
import type { StoredFields } from '../grain/options.ts';
import { pack, type RefBinder, unpack } from '../serialization/codec.ts';

/** What the bytes of a record hold. */
export interface RecordContents {
  /** Of the shape of the fields. */
  readonly version: number;
  readonly fields: StoredFields;
  /** Of calls with idempotency keys, as `kept-answers.ts` packs them. */
  readonly answers: Uint8Array | undefined;
}

/**
 * First byte of a record. Most have nothing but fields, of the first version: then a packed object of these
 * follows. All others are a packed list: version, the packed object as bytes, and the answers, if any.
 */
const FORMAT = { fields: 1, all: 2 } as const;

/** Throws `NotSerializableError` and `PayloadTooLargeError`. */
export function encodeRecord(
  version: number,
  fields: StoredFields,
  answers: Uint8Array | undefined,
): Uint8Array {
  const packed = pack(fields, 'state');
  if (version === FIRST_VERSION && answers === undefined) return prefixed(FORMAT.fields, packed);
  const all = answers === undefined ? [version, packed] : [version, packed, answers];
  return prefixed(FORMAT.all, pack(all, 'record'));
}

/** Throws when the bytes are no record. */
export function decodeRecord(data: Uint8Array, binder: RefBinder): RecordContents {
  const body = data.subarray(1);
  if (data[0] === FORMAT.fields)
    return { version: FIRST_VERSION, fields: fieldsIn(body, binder), answers: undefined };
  if (data[0] !== FORMAT.all) {
    const known = Object.values(FORMAT).join(' and ');
    throw new Error(`format ${data[0]}, this version of Granary reads ${known}`);
  }
  const all: unknown = unpack(body);
  const [version, packed, answers] = Array.isArray(all) ? (all as unknown[]) : [];
  const sound =
    Number.isInteger(version) &&
    packed instanceof Uint8Array &&
    (answers === undefined || answers instanceof Uint8Array);
  if (!sound) throw new Error('it is no list of version, fields and answers');
  // The answers are kept; the bytes that they came in should not be.
  return {
    version: version as number,
    fields: fieldsIn(packed, binder),
    answers: answers && copyOf(answers),
  };
}

function fieldsIn(packed: Uint8Array, binder: RefBinder): StoredFields {
  const fields: unknown = unpack(packed, binder);
  if (typeof fields !== 'object' || fields === null || Object.getPrototypeOf(fields) !== Object.prototype)
    throw new Error('its fields are no fields');
  return fields as StoredFields;
}

function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

function prefixed(format: number, packed: Uint8Array): Uint8Array {
  // From the pool: a small array of its own costs as much as packing.
  const data = Buffer.allocUnsafe(packed.length + 1);
  data[0] = format;
  data.set(packed, 1);
  return data;
}
