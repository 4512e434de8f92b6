/** Everything that the layers above use of serialization. */
export { copy } from './copy.ts';
export type { Thrown as ErrorRecord } from './error-record.ts';
export { registerError } from './error-record.ts';
export { copyError, decodeError, encodeError } from './errors.ts';
export { decodeFrame, encodeFrame } from './frame.ts';
export { immutable } from './immutable.ts';
export { isInline } from './kinds.ts';
export { MalformedError } from './malformed-error.ts';
export { pack } from './pack.ts';
export type { RefBinder, ReferenceCodec, WireReference } from './references.ts';
export { setReferenceCodec } from './references.ts';
export type { Class, TypeCodec } from './registered-types.ts';
export { registerType } from './registered-types.ts';
export { unpack } from './unpack.ts';
