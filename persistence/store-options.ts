import { InvalidConfigError } from '../framework/errors.ts';

/**
 * Throws `InvalidConfigError` for an option that does not exist: a misspelt one would be ignored in silence.
 */
export function checkNames(store: string, options: unknown, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new InvalidConfigError(
      `${store}: its options are an object with ${names.join(', ')}, not ${String(options)}`,
    );
  }
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new InvalidConfigError(`${store}: there is no option '${unknown}'; there are ${names.join(', ')}`);
}

/** A whole number between `min` and `max`, or `InvalidConfigError` naming the option. */
export function wholeNumber(store: string, option: string, value: unknown, min: number, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new InvalidConfigError(
    `${store}: ${option} is ${String(value)}; it must be a whole number from ${min} to ${max}`,
  );
}
