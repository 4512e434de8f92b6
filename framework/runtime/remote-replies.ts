import { PayloadTooLargeError } from '../errors.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import { aboutGrain } from '../rpc/about-grain.ts';
import type { Call, Replies } from '../rpc/call.ts';
import { ITEM, type Item, inlineOrPacked } from '../rpc/frames.ts';
import type { Node } from '../rpc/node.ts';
import { encodeError, pack } from '../serialization/codec.ts';
import { StreamSenders } from './stream-senders.ts';

/** Answers calls that came from other nodes. */
export class RemoteReplies implements Replies {
  readonly #link: Node['link'];
  readonly streams: StreamSenders;

  constructor(node: Pick<Node, 'clock' | 'link'>) {
    this.#link = node.link;
    this.streams = new StreamSenders(node);
  }

  value(call: Call, value: unknown): void {
    if (call.stream) return this.#end(call, []);
    let packed: unknown;
    try {
      packed = packedFor(call, value, 'result');
    } catch (error) {
      return this.error(call, aboutGrain(error, call.target));
    }
    this.#link.send(call.caller, [ITEM.value, call.id, packed]);
  }

  error(call: Call, error: unknown): void {
    const packed = pack(encodeError(error), 'error');
    if (call.stream) this.#end(call, [packed]);
    else this.#link.send(call.caller, [ITEM.error, call.id, packed]);
  }

  item(call: Call, value: unknown): void {
    const { sender } = call;
    if (!sender || sender.ended) return;
    const item = [ITEM.streamItem, call.id, sender.next, packedFor(call, value, 'item')];
    sender.sent(item);
    this.#link.send(call.caller, item);
  }

  /** `error`: one that is packed, or nothing. */
  #end(call: Call, error: readonly unknown[]): void {
    const { sender } = call;
    if (!sender || sender.ended) return;
    const item: Item = [ITEM.streamEnd, call.id, sender.next, ...error];
    sender.sentEnd(item);
    this.#link.send(call.caller, item);
  }

  moved(call: Call, to: NodeAddress): void {
    const word = [ITEM.moved, call.id, to, call.hops];
    if (call.stream) this.streams.passedOn(call, word);
    this.#link.send(call.caller, word);
  }

  notRun(call: Call): void {
    if (call.stream) this.streams.remove(call);
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
