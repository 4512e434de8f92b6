import { PayloadTooLargeError } from '../errors.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import { aboutGrain } from '../rpc/about-grain.ts';
import type { Call, Replies } from '../rpc/call.ts';
import type { DataLink } from '../rpc/data-link.ts';
import { ITEM, inlineOrPacked } from '../rpc/frames.ts';
import { encodeError, pack } from '../serialization/codec.ts';

/** Answers calls that came from other nodes. */
export class RemoteReplies implements Replies {
  readonly #link: DataLink;

  constructor(link: DataLink) {
    this.#link = link;
  }

  value(call: Call, value: unknown): void {
    let packed: unknown;
    try {
      packed = packedFor(call, value, 'result');
    } catch (error) {
      return this.error(call, aboutGrain(error, call.target));
    }
    this.#link.send(call.caller, [ITEM.value, call.id, packed]);
  }

  error(call: Call, error: unknown): void {
    this.#link.send(call.caller, [ITEM.error, call.id, pack(encodeError(error), 'error')]);
  }

  item(call: Call, index: number, value: unknown): void {
    this.#link.send(call.caller, [ITEM.streamItem, call.id, index, packedFor(call, value, 'item')]);
  }

  moved(call: Call, to: NodeAddress): void {
    this.#link.send(call.caller, [ITEM.moved, call.id, to, call.hops]);
  }

  notRun(call: Call): void {
    this.#link.send(call.caller, [ITEM.notRun, call.id]);
  }
}

function packedFor(call: Call, value: unknown, path: string): unknown {
  const packed = inlineOrPacked(value, path);
  const bytes =
    typeof packed === 'string' ? textBytes(packed) : packed instanceof Uint8Array ? packed.length : 0;
  if (bytes <= LIMITS.callBytes) return packed;
  throw new PayloadTooLargeError(
    `${call.target}.${call.method}: the ${path} has ${bytes} bytes, ` +
      `the limit is ${LIMITS.callBytes}; return a stream of smaller items instead`,
    { grain: call.target },
  );
}

/** Bytes of a text, when they can matter. */
function textBytes(text: string): number {
  return text.length * 3 <= LIMITS.callBytes ? 0 : Buffer.byteLength(text);
}
