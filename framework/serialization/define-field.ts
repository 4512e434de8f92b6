/**
 * Sets a field that somebody else named: as data of the object itself, whatever `__proto__` or a setter of
 * its class would do.
 */
export function defineField(target: object, name: string, value: unknown, enumerable = true): void {
  Object.defineProperty(target, name, { value, enumerable, configurable: true, writable: true });
}
