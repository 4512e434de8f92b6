import type { GrainId } from '../identity/grain-id.ts';

/** What the directory needs to know of the activations of its own silo. */
export interface LocalActivations {
  inPartition(partition: number): Iterable<LocalActivation>;
  find(id: GrainId): LocalActivation | undefined;
  /** This silo's activation has lost against another one. */
  yield(id: GrainId, activationId: string): void;
  /** This silo's activation has won against another: what it read from the store may be old. */
  prevail(id: GrainId): void;
}

export interface LocalActivation {
  readonly id: GrainId;
  readonly activationId: string;
  readonly since: number;
}
