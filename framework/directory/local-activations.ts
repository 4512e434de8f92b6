import type { GrainId } from '../identity/grain-id.ts';
import type { NodeAddress } from '../identity/silo-address.ts';

/** What the directory needs to know of the activations of its own silo. */
export interface LocalActivations {
  inPartition(partition: number): Iterable<LocalActivation>;
  find(id: GrainId): LocalActivation | undefined;
  /** This silo's activation has lost against one at `winner`, which is to hear when it is gone. */
  yield(id: GrainId, activationId: string, winner: NodeAddress): void;
  /** This silo's activation has won, and the loser is gone: what was read from the store may be old. */
  prevail(id: GrainId): void;
}

export interface LocalActivation {
  readonly id: GrainId;
  readonly activationId: string;
  readonly since: number;
}
