/**
 * A node is whatever can send and receive: a silo or a client. Its address, `name~incarnation`, is new at
 * every start, so a message for an earlier life never reaches a later one.
 */
export type NodeAddress = string;

const NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** Whether a text can name a silo or a cluster: 1 to 64 letters, digits, `-` and `_`. */
export function isNodeName(name: unknown): name is string {
  return typeof name === 'string' && NAME.test(name);
}

/** The address of one life of a silo. `incarnation` grows with each restart. */
export function nodeAddress(name: string, incarnation: number): NodeAddress {
  return `${name}~${incarnation.toString(36)}`;
}

/** The name in an address. */
export function nodeName(address: NodeAddress): string {
  const tilde = address.indexOf('~');
  return tilde < 0 ? address : address.slice(0, tilde);
}
