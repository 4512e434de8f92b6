import { InvalidConfigError } from '../errors.ts';
import { isNodeName } from '../identity/silo-address.ts';
import type { OpenOptions } from './transport.ts';

// Both go into NATS subjects as one token each, where a dot, a space or a wildcard would change what is
// subscribed to.
const ADDRESS = /^[A-Za-z0-9_~-]{1,160}$/;

/**
 * Throws `InvalidConfigError` unless every transport can carry the names: what starts in one process must
 * start over NATS too.
 */
export function checkOpenOptions({ cluster, address }: OpenOptions): void {
  if (!isNodeName(cluster)) {
    throw new InvalidConfigError(
      `cluster: ${show(cluster)} cannot name a cluster; use 1 to 64 letters, digits, '-' and '_'`,
    );
  }
  if (typeof address !== 'string' || !ADDRESS.test(address)) {
    throw new InvalidConfigError(
      `address: ${show(address)} cannot be an address; use letters, digits, '-', '_' and '~'`,
    );
  }
}

/** A wrong option's value as a message shows it. */
export function show(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : String(value);
}

/** Checks an option that is a whole number of at least `least`. */
export function checkWhole(transport: string, option: string, value: unknown, least: number): void {
  if (Number.isSafeInteger(value) && (value as number) >= least) return;
  throw new InvalidConfigError(
    `${transport}: ${option} is ${show(value)}; it must be a whole number of at least ${least}`,
  );
}
