import { PayloadTooLargeError } from '../errors.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
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
    this.#send(call, [ITEM.value, call.id], value, 'result');
  }

  error(call: Call, error: unknown): void {
    this.#link.send(call.caller, [ITEM.error, call.id, pack(encodeError(error), 'error')]);
  }

  item(call: Call, index: number, value: unknown): void {
    this.#send(call, [ITEM.streamItem, call.id, index], value, 'item');
  }

  moved(call: Call, to: NodeAddress): void {
    this.#link.send(call.caller, [ITEM.moved, call.id, to, call.hops]);
  }

  notRun(call: Call): void {
    this.#link.send(call.caller, [ITEM.notRun, call.id]);
  }

  #send(call: Call, head: unknown[], value: unknown, path: string): void {
    let packed: unknown;
    try {
      packed = inlineOrPacked(value, path);
      if (packed instanceof Uint8Array && packed.length > LIMITS.callBytes)
        throw tooLarge(call, packed.length);
    } catch (error) {
      return this.error(call, error);
    }
    head.push(packed);
    this.#link.send(call.caller, head);
  }
}

function tooLarge(call: Call, bytes: number): PayloadTooLargeError {
  return new PayloadTooLargeError(
    `${call.target}.${call.method}: the result has ${bytes} bytes, ` +
      `the limit is ${LIMITS.callBytes}; return a stream instead`,
    { grain: call.target },
  );
}
