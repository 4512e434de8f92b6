import type { GrainType } from '../grain/grain-type.ts';
import type { GrainId } from '../identity/grain-id.ts';
import { Activation } from './activation.ts';
import type { ActivationServices } from './activation-services.ts';
import { Listeners } from './listeners.ts';

/** The activations of one silo, by partition, since partitions are what moves. */
export class Catalog {
  /** Those that hear broadcasts. */
  readonly listeners = new Listeners();
  readonly #services: ActivationServices;
  readonly #partitions: (Map<GrainId, Activation> | undefined)[];
  #size = 0;

  constructor(partitions: number, services: ActivationServices) {
    this.#services = services;
    this.#partitions = new Array(partitions).fill(undefined);
  }

  get size(): number {
    return this.#size;
  }

  find(partition: number, id: GrainId): Activation | undefined {
    return this.#partitions[partition]?.get(id);
  }

  /** Adds an activation that has not started. */
  create(type: GrainType, id: GrainId, partition: number): Activation {
    const activation = new Activation(type, id, partition, this.#services);
    let activations = this.#partitions[partition];
    if (!activations) {
      activations = new Map();
      this.#partitions[partition] = activations;
    }
    activations.set(id, activation);
    if (type.hears) this.listeners.add(activation);
    this.#size++;
    return activation;
  }

  /** Removes it, unless another has taken its place. */
  remove(activation: Activation): void {
    const activations = this.#partitions[activation.partition];
    if (activations?.get(activation.id) !== activation) return;
    activations.delete(activation.id);
    if (activation.type.hears) this.listeners.remove(activation);
    this.#size--;
  }

  inPartition(partition: number): Iterable<Activation> {
    return this.#partitions[partition]?.values() ?? [];
  }

  *all(): Generator<Activation> {
    for (const activations of this.#partitions) if (activations) yield* activations.values();
  }
}
