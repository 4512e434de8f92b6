import { types } from 'node:util';
import { isReference } from './references.ts';
import { registeredTypeOf } from './registered-types.ts';
import { BINARY_CLASSES } from './wire-codes.ts';

/** What the rules of travelling distinguish among objects. */
export type Kind =
  | 'plain'
  | 'array'
  | 'reference'
  | 'map'
  | 'set'
  | 'date'
  | 'regExp'
  | 'url'
  | 'bytes'
  | 'binary'
  | 'registered'
  | 'error';

const OBJECT = Object.prototype;
const ARRAY = Array.prototype;

/**
 * The exact prototypes that make a kind. A subclass is not of the kind: what it adds would be lost. The
 * checks tell the real thing from an object that merely has the prototype, on which the built-in methods
 * would throw.
 */
const BUILT_IN = new Map<object, { kind: Kind; check(value: object): boolean }>([
  [Map.prototype, { kind: 'map', check: types.isMap }],
  [Set.prototype, { kind: 'set', check: types.isSet }],
  [Date.prototype, { kind: 'date', check: types.isDate }],
  [RegExp.prototype, { kind: 'regExp', check: types.isRegExp }],
  [URL.prototype, { kind: 'url', check: isURL }],
  [Uint8Array.prototype, { kind: 'bytes', check: types.isUint8Array }],
  [Buffer.prototype, { kind: 'bytes', check: types.isUint8Array }],
]);
for (const type of BINARY_CLASSES) {
  const check = (type as unknown) === ArrayBuffer ? types.isArrayBuffer : ArrayBuffer.isView;
  BUILT_IN.set(type.prototype, { kind: 'binary', check });
}

/**
 * The kind of an object, or undefined for one that cannot travel. Plain objects and arrays, the most
 * frequent, are quickest.
 */
export function kindOf(value: object): Kind | undefined {
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype === OBJECT || prototype === null) return 'plain';
  if (prototype === ARRAY && Array.isArray(value)) return 'array';
  if (isReference(value)) return 'reference';
  const builtIn = BUILT_IN.get(prototype);
  if (builtIn !== undefined) return builtIn.check(value) ? builtIn.kind : undefined;
  if (registeredTypeOf(value) !== undefined) return 'registered';
  if (isError(value)) return 'error';
  return foreignKind(value, prototype);
}

/**
 * Plain objects and arrays of another realm (`node:vm`, and the test runners built on it) have prototypes of
 * that realm.
 */
function foreignKind(value: object, prototype: object): Kind | undefined {
  if (isObjectPrototype(prototype)) return 'plain';
  const next = Object.getPrototypeOf(prototype) as object | null;
  if (Array.isArray(value) && next !== null && isObjectPrototype(next))
    return prototype === ARRAY ? undefined : 'array';
  return undefined;
}

function isObjectPrototype(value: object): boolean {
  return (
    Object.getPrototypeOf(value) === null &&
    Object.hasOwn(value, 'isPrototypeOf') &&
    Object.hasOwn(value, 'valueOf')
  );
}

export function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof Error;
}

function isURL(value: object): boolean {
  try {
    return typeof (value as URL).href === 'string';
  } catch {
    return false;
  }
}

/**
 * Whether a value is a primitive that travels as it is: it needs no copy, and no packing apart from the frame
 * it is in.
 */
export function isInline(value: unknown): boolean {
  switch (typeof value) {
    case 'object':
      return value === null;
    case 'function':
    case 'symbol':
      return false;
    default:
      return true;
  }
}
