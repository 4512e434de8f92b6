const marked = new WeakSet<object>();
let inUse = false;

/**
 * Promises that a value, and all it holds, will not change any more: within one process it is then passed as
 * it is, without a copy. Returns the same object, not frozen: Granary trusts the promise. What cannot travel
 * is found only when the value leaves the process, and references in it stay bound to whoever made them.
 */
export function immutable<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    marked.add(value);
    inUse = true;
  }
  return value;
}

export function isImmutable(value: object): boolean {
  return inUse && marked.has(value);
}
