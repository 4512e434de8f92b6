import type { GrainType } from '../grain/grain-type.ts';
import type { GrainId } from '../identity/grain-id.ts';
import type { Call } from '../rpc/call.ts';
import { Activation } from './activation.ts';
import type { ActivationServices } from './activation-services.ts';

/**
 * Stateless workers: up to `n` activations of a grain on each silo, none of them in the directory. A call
 * runs on the least busy one.
 */
export class Workers {
  readonly #services: ActivationServices;
  readonly #started: (worker: Activation) => void;
  readonly #pools = new Map<GrainId, Activation[]>();

  /** `started` hears of each new worker, so that it can be collected. */
  constructor(services: ActivationServices, started: (worker: Activation) => void) {
    this.#services = services;
    this.#started = started;
  }

  accept(type: GrainType, call: Call, now: number): void {
    let pool = this.#pools.get(call.target);
    if (!pool) {
      pool = [];
      this.#pools.set(call.target, pool);
    }
    const least = pool.reduce<Activation | undefined>((a, b) => (a && busy(a) <= busy(b) ? a : b), undefined);
    if (least && (busy(least) === 0 || pool.length >= (type.workers as number))) least.accept(call, now);
    else this.#start(pool, type, call, now);
  }

  remove(worker: Activation): void {
    const pool = this.#pools.get(worker.id);
    const index = pool?.indexOf(worker) ?? -1;
    if (!pool || index < 0) return;
    pool.splice(index, 1);
    if (pool.length === 0) this.#pools.delete(worker.id);
  }

  find(id: GrainId): readonly Activation[] {
    return this.#pools.get(id) ?? [];
  }

  /** Ends those that have nothing to do. */
  endIdle(): void {
    for (const worker of [...this.all()]) if (busy(worker) === 0) worker.deactivate('shutdown');
  }

  *all(): Generator<Activation> {
    for (const pool of this.#pools.values()) yield* pool;
  }

  /** Starts one more, with the call in its mailbox already: the start may fail at once. */
  #start(pool: Activation[], type: GrainType, call: Call, now: number): void {
    const worker = new Activation(type, call.target, call.partition, this.#services);
    pool.push(worker);
    this.#started(worker);
    worker.accept(call, now);
    worker.start();
  }
}

function busy(worker: Activation): number {
  return worker.mailbox.running + worker.mailbox.waiting;
}
