import { deliveryMethod } from '../grain/check-subscriptions.ts';
import { LIMITS } from '../limits.ts';
import { Call, FLAGS, type Replies } from '../rpc/call.ts';
import type { Node } from '../rpc/node.ts';
import type { Activation } from './activation.ts';

/** Nobody waits for what a broadcast leads to. */
const NOBODY: Replies = { value() {}, error() {}, item() {}, moved() {}, notRun() {} };

/** The activations of this silo that hear broadcasts, and how they come to hear them. */
export class Listeners {
  readonly #byMethod = new Map<string, Set<Activation>>();
  /** Numbers of these calls, far from those of others that this node makes. */
  #lastId = Number.MIN_SAFE_INTEGER;

  add(activation: Activation): void {
    for (const { broadcast, spec } of activation.type.subscriptions) {
      if (!broadcast) continue;
      const others = this.#byMethod.get(spec.name);
      if (others) others.add(activation);
      else this.#byMethod.set(spec.name, new Set([activation]));
    }
  }

  remove(activation: Activation): void {
    for (const { broadcast, spec } of activation.type.subscriptions) {
      if (broadcast) this.#byMethod.get(spec.name)?.delete(activation);
    }
  }

  /** What a broadcast calls on each silo; `args`: event and meta, packed. */
  hear({ clock, address }: Node, topic: unknown, args: unknown): void {
    if (typeof topic !== 'string' || !(args instanceof Uint8Array)) return;
    const method = deliveryMethod(topic, true);
    const now = clock.now();
    const deadline = Math.ceil(now + LIMITS.callTimeoutMs);
    for (const activation of [...(this.#byMethod.get(method) ?? [])]) {
      const id = ++this.#lastId;
      const call = new Call(address, id, activation.id, method, args, deadline, NOBODY);
      call.flags = FLAGS.oneWay;
      activation.accept(call, now);
    }
  }
}
