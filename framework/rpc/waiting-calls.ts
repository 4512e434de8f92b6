import type { GrainId } from '../identity/grain-id.ts';
import type { PendingCall } from './pending-call.ts';

/**
 * Calls that cannot be sent now, by grain. A call that is made while others wait for the same grain waits
 * behind them, and all of them leave together, in the order in which they were made.
 */
export class WaitingCalls {
  readonly #grains = new Map<GrainId, Set<PendingCall>>();

  /** How many grains calls wait for. */
  get size(): number {
    return this.#grains.size;
  }

  add(call: PendingCall): void {
    const calls = this.#grains.get(call.target);
    if (calls) calls.add(call);
    else this.#grains.set(call.target, new Set([call]));
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
