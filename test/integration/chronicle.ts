import type { NodeAddress } from '../../framework/identity/silo-address.ts';
import type { Observation, WorldEvent } from '../../framework/testing/invariants/observation.ts';
import { machineNow } from '../support/machine-clock.ts';

/** What a test did to its cluster, and when: the part of a history that the nodes cannot tell. */
export class Chronicle {
  readonly entries: Observation[] = [];
  /** Times in which the cluster was looked at and found in agreement, from the first look to the last. */
  readonly agreements: { readonly from: number; readonly to: number }[] = [];
  #whole = true;

  /** Before a fault of the network, and before a pause. */
  broken(): void {
    if (this.#whole) this.#write({ type: 'networkChanged', whole: false, ordered: false });
    this.#whole = false;
    this.changing();
  }

  /** Before silos start or stop. */
  changing(): void {
    this.#write({ type: 'agreementChanged', agreed: false });
  }

  crashed(silo: NodeAddress): void {
    this.#write({ type: 'nodeCrashed' }, silo);
  }

  paused(silo: NodeAddress): void {
    this.#write({ type: 'nodePaused' }, silo);
  }

  resumed(silo: NodeAddress): void {
    this.#write({ type: 'nodeResumed' }, silo);
  }

  /** All silos were asked, from this time to now, and all of them agree and have nothing to settle. */
  agreed(from: number): void {
    if (!this.#whole) this.#write({ type: 'networkChanged', whole: true, ordered: true });
    this.#whole = true;
    this.agreements.push({ from, to: machineNow() });
  }

  #write(event: WorldEvent, node: NodeAddress | '' = ''): void {
    this.entries.push({ at: machineNow(), node, event });
  }
}
