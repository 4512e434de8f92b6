import type { GrainId } from '../identity/grain-id.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Cluster } from '../membership/cluster.ts';

/** A call, which keeps its grain's partition once that is computed. */
interface Located {
  readonly target: GrainId;
  partition: number;
}

/**
 * Which silo to send a call to, without asking anybody: where the grain answered from last, if that was not
 * where the ring puts it; else where the ring puts it. Being wrong is safe, the silo that gets the call
 * passes it on.
 */
export class Locator {
  readonly #cluster: Cluster;
  readonly #known = new Map<GrainId, NodeAddress>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  locate(call: Located): NodeAddress | undefined {
    const { era } = this.#cluster;
    if (this.#known.size > 0) {
      const known = this.#known.get(call.target);
      if (known !== undefined) {
        if (era.present.has(known)) return known;
        this.#known.delete(call.target);
      }
    }
    return this.#home(call);
  }

  /** Where the ring puts it. */
  #home(call: Located): NodeAddress | undefined {
    const { era } = this.#cluster;
    // A client may have learnt meanwhile that there are fewer. Of more, the one it has is wrong, but safe.
    if (call.partition < 0 || call.partition >= era.ring.partitions)
      call.partition = era.ring.partitionOf(call.target);
    return era.primaryAddress(call.partition);
  }

  /** A grain has answered from `silo`. */
  learn(call: Located, silo: NodeAddress): void {
    const { target: id } = call;
    const home = this.#home(call) === silo;
    if (home && this.#known.size === 0) return;
    this.#known.delete(id);
    if (home) return;
    if (this.#known.size >= LIMITS.locations) this.#known.delete(this.#known.keys().next().value as GrainId);
    this.#known.set(id, silo);
  }

  forget(id: GrainId): void {
    this.#known.delete(id);
  }
}
