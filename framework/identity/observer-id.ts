import { canonicalKey, type GrainId, grainIdOf } from './grain-id.ts';
import { isNodeAddress, type NodeAddress } from './silo-address.ts';

/** What stands for the type in an observer's id; no grain may be called so. */
export const OBSERVER_TYPE = '$observer';
const PREFIX = `${OBSERVER_TYPE}/`;
const DOLLAR = 36;

/**
 * The id of an object at a node: `$observer/<address>/<n>`. It has the form of a grain's id, so it travels as
 * one does, and it says where the object is, so nobody needs to be asked.
 */
export function observerId(node: NodeAddress, n: number): GrainId {
  return grainIdOf(OBSERVER_TYPE, canonicalKey(OBSERVER_TYPE, [node, n]));
}

/** Whether an id is an observer's; one comparison for nearly all that are not. */
export function isObserverId(id: GrainId): boolean {
  return id.charCodeAt(0) === DOLLAR && id.startsWith(PREFIX);
}

/** The node that an observer is at; undefined when the id, which may come from anyone, names none. */
export function observedAt(id: GrainId): NodeAddress | undefined {
  const address = id.slice(PREFIX.length, id.indexOf('/', PREFIX.length));
  return isNodeAddress(address) ? address : undefined;
}
