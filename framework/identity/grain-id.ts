import { InvalidKeyError } from '../errors.ts';
import { LIMITS } from '../limits.ts';

/** One part of a grain's key. */
export type KeyPart = string | number | bigint;
/** What names a grain within its type. `42`, `42n` and `'42'` name the same grain. */
export type GrainKey = KeyPart | readonly KeyPart[];

/**
 * The canonical name of a grain: `Type/key`, the parts of a composite key joined by `/`. Within a part `%`,
 * `/` and control characters are percent-encoded (as UTF-8), so that different keys never share a name, and
 * every store can hold it.
 */
export type GrainId = string;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const ESCAPED = /[%/\u0000-\u001f\u007f]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const NEEDS_ESCAPE = /[%/\u0000-\u001f\u007f]/;

/** The canonical form of a key: the part of a grain id after the type. Throws `InvalidKeyError`. */
export function canonicalKey(type: string, key: GrainKey): string {
  if (
    typeof key === 'string' &&
    key.length * 3 <= LIMITS.keyBytes &&
    key.length > 0 &&
    !NEEDS_ESCAPE.test(key)
  ) {
    return wellFormed(type, key);
  }
  if (Number.isFinite(key)) return String(key); // which needs no escapes
  const parts = Array.isArray(key) ? key : [key];
  if (parts.length === 0)
    throw new InvalidKeyError(`${type}: the key is an empty list; a key needs at least one part`);
  const texts = parts.map((part) => partText(type, part));
  const bytes = Buffer.byteLength(texts.join('/'));
  if (bytes > LIMITS.keyBytes) {
    throw new InvalidKeyError(
      `${type}: the key has ${bytes} bytes, the limit is ${LIMITS.keyBytes}; use a hash of it as the key`,
    );
  }
  return texts
    .map((text) =>
      text.replace(ESCAPED, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`),
    )
    .join('/');
}

function partText(type: string, part: unknown): string {
  switch (typeof part) {
    case 'string':
      if (part.length === 0) throw new InvalidKeyError(`${type}: the key, or a part of it, is empty`);
      return wellFormed(type, part);
    case 'number':
      if (!Number.isFinite(part))
        throw new InvalidKeyError(`${type}: ${part} cannot be a key; use a finite number`);
      return String(part);
    case 'bigint':
      return String(part);
    default:
      throw new InvalidKeyError(
        `${type}: a key is a string, a number, a bigint or a list of these, not ${describe(part)}`,
      );
  }
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a nested list' : typeof value;
}

function wellFormed(type: string, text: string): string {
  if (/[\ud800-\udfff]/.test(text) && !(text as string & { isWellFormed(): boolean }).isWellFormed()) {
    throw new InvalidKeyError(`${type}: the key holds half of a surrogate pair, which no encoding can carry`);
  }
  return text;
}

/** Joins a type and a key that is already canonical. */
export function grainIdOf(type: string, canonical: string): GrainId {
  return `${type}/${canonical}`;
}

/** The type in a grain id. */
export function typeOf(id: GrainId): string {
  const slash = id.indexOf('/');
  return slash < 0 ? id : id.slice(0, slash);
}

/** The canonical key in a grain id. */
export function keyOf(id: GrainId): string {
  return id.slice(id.indexOf('/') + 1);
}

/**
 * The parts of a canonical key as the user wrote them, as strings. Throws `InvalidKeyError` on a malformed
 * escape.
 */
export function keyParts(canonical: string): string[] {
  return canonical.split('/').map((part) => {
    if (!part.includes('%')) return part;
    try {
      return decodeURIComponent(part);
    } catch {
      throw new InvalidKeyError(`the key '${canonical}' has a malformed percent escape`);
    }
  });
}

/** The key in a grain id as its grain sees it: what the user wrote; of several parts the canonical form. */
export function readableKey(id: GrainId): string {
  const canonical = keyOf(id);
  const [only, ...others] = keyParts(canonical);
  return others.length === 0 ? (only as string) : canonical;
}

/** An id whose key is ASCII without escapes, as nearly all are: canonical without being taken apart. */
const SIMPLE_ID = /^[^/]+(?:\/[ -$&-.0-~]+)+$/;

/** Whether a text that came over the wire is a canonical grain id. */
export function isGrainId(value: unknown): value is GrainId {
  if (typeof value !== 'string') return false;
  const slash = value.indexOf('/');
  if (slash <= 0 || slash === value.length - 1 || value.length > LIMITS.grainIdChars) return false;
  if (value.length - slash - 1 <= LIMITS.keyBytes && SIMPLE_ID.test(value)) return true;
  try {
    const key = value.slice(slash + 1);
    return canonicalKey('', keyParts(key)) === key;
  } catch {
    return false;
  }
}
