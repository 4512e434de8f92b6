import { ObserverGoneError } from '../errors.ts';
import { OBSERVER_SPEC } from '../grain/reference.ts';
import { observedAt } from '../identity/observer-id.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import type { Timer } from '../system/clock.ts';
import { ITEM } from './frames.ts';
import type { Node } from './node.ts';
import type { PendingCall } from './pending-call.ts';
import type { PendingCalls } from './pending-calls.ts';

export interface ObserverCallsOptions {
  readonly node: Node;
  readonly pending: PendingCalls;
  readonly fail: (call: PendingCall, error: Error) => void;
}

/** How often it is looked whether those are still there who have not answered since the look before. */
const LOOK_MS = 1_000;
/** Of no call: a cancel of it changes nothing where it arrives. */
const NO_CALL = 0;

/**
 * Calls of observers. They go straight to the node that the id names: no ring, no directory, no second place
 * to look. So when the transport says that nobody listens there, that is the end of it, at once, and not a
 * reason to try again.
 *
 * The transport says so of what is sent after a node has gone, not of what it had received before. So while
 * calls wait for an answer, something is sent now and then that needs none. A node that is frozen, or cut
 * off without a word, still counts as there; its calls end with their deadlines.
 */
export class ObserverCalls {
  readonly #options: ObserverCallsOptions;
  #timer: Timer | undefined;

  constructor(options: ObserverCallsOptions) {
    this.#options = options;
  }

  /** Where a call goes; one whose id names no node is for this one, which does not know it either. */
  placeOf(call: PendingCall): NodeAddress {
    this.#timer ??= this.#options.node.clock.inBackground(LOOK_MS, this.#look);
    return observedAt(call.target) ?? this.#options.node.address;
  }

  /** Nobody listens at `to`. */
  undeliverable(to: NodeAddress): void {
    const { node, fail } = this.#options;
    // It is this node that is cut off. Its calls are sent again when it is back.
    if (!node.endpoint.connected) return;
    for (const call of this.#waiting()) {
      if (call.sentTo !== to) continue;
      const { target: grain, method } = call;
      const text =
        `${grain}.${method}: nobody listens at ${to}; its program has ended, or lost its connection. ` +
        'Forget the observer, unless it may come back';
      fail(call, new ObserverGoneError(text, { grain, reason: 'unreachable' }));
    }
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #waiting(): PendingCall[] {
    const { pending } = this.#options;
    return pending
      .oldestFirst()
      .filter(({ spec, progress }) => spec === OBSERVER_SPEC && progress !== 'local');
  }

  readonly #look = (): void => {
    const { node } = this.#options;
    const waiting = this.#waiting();
    this.#timer = waiting.length > 0 ? node.clock.inBackground(LOOK_MS, this.#look) : undefined;
    const before = node.clock.now() - LOOK_MS;
    const silent = waiting.filter(({ progress, sentAt }) => progress === 'sent' && sentAt <= before);
    for (const to of new Set(silent.map(({ sentTo }) => sentTo))) {
      if (to !== undefined) node.link.send(to, [ITEM.cancel, NO_CALL, '']);
    }
  };
}
