/**
 * A node is whatever can send and receive: a silo or a client. Its address, `name~incarnation`, is new at
 * every start, so a message for an earlier life never reaches a later one.
 */
export type NodeAddress = string;

const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const ADDRESS = /^[A-Za-z0-9_-]{1,64}~[0-9a-z]{1,11}$/;

/** Whether a text can name a silo or a cluster: 1 to 64 letters, digits, `-` and `_`. */
export function isNodeName(name: unknown): name is string {
  return typeof name === 'string' && NAME.test(name);
}

/** The address of one life of a silo. `incarnation` grows with each restart. */
export function nodeAddress(name: string, incarnation: number): NodeAddress {
  return `${name}~${incarnation.toString(36)}`;
}

/**
 * Whether a text that came over the wire is an address. It becomes part of a subject: anything else could
 * speak to the transport in this node's name.
 */
export function isNodeAddress(address: unknown): address is NodeAddress {
  return typeof address === 'string' && ADDRESS.test(address);
}

/** The name in an address. */
export function nodeName(address: NodeAddress): string {
  const tilde = address.indexOf('~');
  return tilde < 0 ? address : address.slice(0, tilde);
}
