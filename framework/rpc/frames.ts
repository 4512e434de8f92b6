import { isIdempotencyKey } from '../grain/idempotency-key.ts';
import { isGrainId } from '../identity/grain-id.ts';
import { isNodeAddress, type NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import { decodeError, isInline, pack, unpack } from '../serialization/codec.ts';
import { type Arguments, Call, NO_CHAIN, type Replies } from './call.ts';

/**
 * What travels on the data lane. A frame is `[version, sender, number, item, …]`, each item an array that
 * starts with its kind; trailing elements that have their usual value are left out. docs/protocol.md
 * describes all of it for other implementations.
 */
export const FRAME = 1;
export const PART = 2;
export const RECEIPT = 3;

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

/**
 * A call's item: kind, id, target, method, args, ms left, flags, chain, baggage, caller, hops, not at,
 * idempotency key.
 */
export function callItem(call: Call, msLeft: number, forwarded: boolean): Item {
  const args =
    call.args instanceof Uint8Array || call.args.every(isInline) ? call.args : pack(call.args, 'args');
  // Rounding up to a deadline, and again here, must not make more of it than there may be.
  const ms = Math.min(Math.max(1, Math.ceil(msLeft)), LIMITS.callTimeoutMaxMs);
  const item: unknown[] = [ITEM.call, call.id, call.target, call.method, args, ms];
  const { flags, chain, baggage, idempotencyKey: key } = call;
  if (flags === 0 && chain.length === 0 && baggage === undefined && !forwarded && key === undefined)
    return item;
  item.push(flags, chain, baggage ?? null);
  if (forwarded || key !== undefined) item.push(call.caller, call.hops, call.notAt ?? null);
  if (key !== undefined) item.push(key);
  return item;
}

/**
 * The call in an item that `from` has sent, which arrived `now`; `replies` answers it. Undefined when it is
 * none. Anybody may send anything: each element is looked at before it is used.
 */
export function parseCall(item: Item, from: NodeAddress, now: number, replies: Replies): Call | undefined {
  const [, id, target, method, args, msLeft] = item;
  if (!isCount(id) || !isGrainId(target) || typeof method !== 'string' || method.length > LIMITS.nameChars)
    return undefined;
  if (!isArguments(args) || !isCount(msLeft) || msLeft > LIMITS.callTimeoutMaxMs) return undefined;
  const call = new Call(from, id, target, method, args, Math.ceil(now + msLeft), replies);
  return item.length === PLAIN_LENGTH || parseRest(call, item, from) ? call : undefined;
}

/** False when what follows is malformed. */
function parseRest(call: Call, item: Item, from: NodeAddress): boolean {
  const rest = item.slice(PLAIN_LENGTH);
  const [flags = 0, chain = NO_CHAIN, baggage, caller = from, hops = 0, notAt, key] = rest;
  if (!isCount(flags) || !isChain(chain) || !isNodeAddress(caller) || !isCount(hops)) return false;
  if (!(baggage === undefined || baggage === null || isBaggage(baggage))) return false;
  if (!(key === undefined || isIdempotencyKey(key))) return false;
  call.flags = flags;
  call.chain = chain;
  call.baggage = baggage ?? undefined;
  call.caller = caller;
  call.hops = hops;
  // Only a silo itself can say that it has nothing.
  if (isNotAt(notAt) && notAt[0] === from) call.notAt = notAt;
  call.idempotencyKey = key;
  return true;
}

/** Elements of a call's item where all that follow have their usual value. */
const PLAIN_LENGTH = 6;

function isArguments(value: unknown): value is Arguments {
  return value instanceof Uint8Array || (Array.isArray(value) && value.every(isInline));
}

function isChain(value: unknown): value is readonly string[] {
  return (
    Array.isArray(value) &&
    value.length <= LIMITS.chainDepth &&
    value.every((link) => typeof link === 'string')
  );
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
