import type { GrainId } from '../identity/grain-id.ts';
import type { Node } from './node.ts';
import type { PendingCall } from './pending-call.ts';

/** Waits between attempts while no other news says that the next one may succeed. */
const RETRY_MS = { first: 20, most: 250 };

/**
 * Calls that cannot be sent now, by grain. A call that is made while others wait for the same grain waits
 * behind them, and all of them leave together, in the order in which they were made.
 */
export class WaitingCalls {
  readonly #node: Pick<Node, 'clock' | 'random'>;
  readonly #sendAll: (calls: readonly PendingCall[]) => void;
  readonly #grains = new Map<GrainId, Set<PendingCall>>();
  /** Grains with a timer for the next attempt. */
  readonly #retrying = new Set<GrainId>();

  constructor(node: Pick<Node, 'clock' | 'random'>, sendAll: (calls: readonly PendingCall[]) => void) {
    this.#node = node;
    this.#sendAll = sendAll;
  }

  /** How many grains calls wait for. */
  get size(): number {
    return this.#grains.size;
  }

  add(call: PendingCall): void {
    const calls = this.#grains.get(call.target);
    if (calls) calls.add(call);
    else this.#grains.set(call.target, new Set([call]));
  }

  /**
   * Adds a call that was tried in vain, and sends all that wait for its grain before long. One timer for all
   * of them: with one for each, every attempt of theirs would double their number.
   */
  addAgain(call: PendingCall): void {
    const { target, attempts } = call;
    const { clock, random } = this.#node;
    this.add(call);
    if (this.#retrying.has(target)) return;
    this.#retrying.add(target);
    const most = Math.min(RETRY_MS.first * 2 ** Math.min(attempts - 1, 10), RETRY_MS.most);
    clock.after(most * (0.5 + random.next() / 2), () => {
      this.#retrying.delete(target);
      this.#sendAll(this.take(target));
    });
  }

  has(target: GrainId): boolean {
    return this.#grains.has(target);
  }

  delete(call: PendingCall): void {
    const calls = this.#grains.get(call.target);
    if (calls?.delete(call) && calls.size === 0) this.#grains.delete(call.target);
  }

  take(target: GrainId): PendingCall[] {
    const calls = [...(this.#grains.get(target) ?? [])];
    this.#grains.delete(target);
    return calls.sort(byAge);
  }

  takeAll(): PendingCall[] {
    const calls = [...this.#grains.values()].flatMap((each) => [...each]);
    this.#grains.clear();
    return calls.sort(byAge);
  }
}

function byAge(a: PendingCall, b: PendingCall): number {
  return a.id - b.id;
}
