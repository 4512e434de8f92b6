import { InvalidConfigError } from '../errors.ts';

/** The compiler refuses these in TypeScript; in JavaScript a mistyped option would silently do nothing. */
export function checkKnown(where: string, options: object, known: readonly string[]): void {
  for (const option of Object.keys(options)) {
    if (known.includes(option)) continue;
    throw new InvalidConfigError(`${where}: there is no option '${option}'; there are: ${known.join(', ')}`);
  }
}

export function checkNumber(
  where: string,
  option: string,
  value: number | undefined,
  min: number,
  max: number,
): void {
  if (value === undefined || (Number.isFinite(value) && value >= min && value <= max)) return;
  throw outOfRange(where, option, value, `a number from ${min} to ${max}`);
}

export function checkWhole(
  where: string,
  option: string,
  value: number | undefined,
  min: number,
  max: number,
): void {
  if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) return;
  throw outOfRange(where, option, value, `a whole number from ${min} to ${max}`);
}

function outOfRange(where: string, option: string, value: unknown, wanted: string): InvalidConfigError {
  return new InvalidConfigError(`${where}: ${option} is ${String(value)}; it must be ${wanted}`);
}

/** A property of an object or of what it inherits from, without running an accessor. */
export function propertyAlong(start: object, name: string): PropertyDescriptor | undefined {
  for (let proto: object | null = start; proto !== null; proto = Object.getPrototypeOf(proto)) {
    const descriptor = Object.getOwnPropertyDescriptor(proto, name);
    if (descriptor) return descriptor;
  }
  return undefined;
}
