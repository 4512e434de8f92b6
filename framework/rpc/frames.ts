import { isGrainId } from '../identity/grain-id.ts';
import { isNodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import { decodeError, isInline, pack, unpack } from '../serialization/codec.ts';
import type { Call } from './call.ts';

/**
 * What travels on the data lane. A frame is `[version, sender, number, item, …]`, each item an array that
 * starts with its kind; trailing elements that have their usual value are left out. docs/protocol.md
 * describes all of it for other implementations.
 */
export const FRAME = 1;
export const PART = 2;

export const ITEM = Object.freeze({
  call: 0,
  value: 1,
  error: 2,
  moved: 3,
  notRun: 4,
  cancel: 5,
  streamItem: 6,
  credit: 7,
  streamEnd: 8,
  streamKnown: 9,
});

export type Item = readonly unknown[];

/** A value inside a frame: primitives as they are, everything else packed. */
export function inlineOrPacked(value: unknown, path: string): unknown {
  return isInline(value) ? value : pack(value, path);
}

/** The error in an error's item. */
export function errorIn(packed: unknown): Error {
  try {
    return decodeError(packed instanceof Uint8Array ? unpack(packed) : packed);
  } catch (cause) {
    return new Error('the call failed, and its error could not be read', { cause });
  }
}

/** A call's item: kind, id, target, method, args, ms left, flags, chain, baggage, caller, hops, not at. */
export function callItem(call: Call, msLeft: number, forwarded: boolean): Item {
  const args =
    call.args instanceof Uint8Array || call.args.every(isInline) ? call.args : pack(call.args, 'args');
  const item: unknown[] = [
    ITEM.call,
    call.id,
    call.target,
    call.method,
    args,
    Math.max(1, Math.ceil(msLeft)),
  ];
  const { flags, chain, baggage } = call;
  if (flags === 0 && chain.length === 0 && baggage === undefined && !forwarded) return item;
  item.push(flags, chain, baggage ?? null);
  if (forwarded) item.push(call.caller, call.hops, call.notAt ?? null);
  return item;
}

/** The fields of a call's item, checked. Undefined when it is none. */
export interface CallParts {
  readonly id: number;
  readonly target: string;
  readonly method: string;
  readonly args: readonly unknown[] | Uint8Array;
  readonly msLeft: number;
  readonly flags: number;
  readonly chain: readonly string[];
  readonly baggage: Uint8Array | undefined;
  readonly caller: string | undefined;
  readonly hops: number;
  readonly notAt: readonly [string, number] | undefined;
}

export function parseCall(item: Item): CallParts | undefined {
  const [, id, target, method, args, msLeft, flags = 0, chain = [], baggage, caller, hops = 0, notAt] = item;
  if (!isCount(id) || !isGrainId(target) || typeof method !== 'string' || method.length > LIMITS.nameChars)
    return undefined;
  if (!(args instanceof Uint8Array) && !(Array.isArray(args) && args.every(isInline))) return undefined;
  if (!isCount(msLeft) || msLeft > LIMITS.callTimeoutMaxMs || !isCount(flags) || !isCount(hops))
    return undefined;
  if (
    !Array.isArray(chain) ||
    chain.length > LIMITS.chainDepth ||
    !chain.every((link) => typeof link === 'string')
  ) {
    return undefined;
  }
  if (!(baggage === undefined || baggage === null || isBaggage(baggage))) return undefined;
  if (!(caller === undefined || isNodeAddress(caller))) return undefined;
  return {
    id,
    target,
    method,
    args,
    msLeft,
    flags,
    chain,
    baggage: baggage ?? undefined,
    caller,
    hops,
    notAt: isNotAt(notAt) ? notAt : undefined,
  };
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isBaggage(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && value.length <= LIMITS.baggageBytes;
}

function isNotAt(value: unknown): value is readonly [string, number] {
  return Array.isArray(value) && typeof value[0] === 'string' && isCount(value[1]);
}
