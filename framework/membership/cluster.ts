import type { NodeAddress } from '../identity/silo-address.ts';
import { Ring } from '../ring/ring.ts';
import { addressOf, type SiloEntry, type View } from './view.ts';

/**
 * One moment of the cluster: who is there, who is responsible for what. Immutable; a new one is made at every
 * change that matters.
 */
export class Era {
  readonly id: string;
  readonly ring: Ring;
  /** Addresses of the silos that may hold activations: those on the ring and those that are leaving. */
  readonly present: ReadonlySet<NodeAddress>;
  /** The epochs of those. */
  readonly epochs: ReadonlyMap<NodeAddress, number>;
  readonly #entries = new Map<string, SiloEntry>();
  readonly #addresses = new Map<string, NodeAddress>();

  constructor(view: View, partitions: number) {
    this.id = view.era;
    const present = view.present();
    this.present = new Set(present.map(addressOf));
    this.epochs = new Map(present.map((entry) => [addressOf(entry), entry.epoch]));
    const active = present.filter((entry) => entry.status === 'active');
    for (const entry of active) {
      this.#entries.set(entry.name, entry);
      this.#addresses.set(entry.name, addressOf(entry));
    }
    this.ring = Ring.of(partitions, [...this.#entries.keys()]);
  }

  /** Silos on the ring. */
  get active(): SiloEntry[] {
    return [...this.#entries.values()];
  }

  entry(name: string): SiloEntry | undefined {
    return this.#entries.get(name);
  }

  addressOf(name: string): NodeAddress | undefined {
    return this.#addresses.get(name);
  }

  primaryAddress(partition: number): NodeAddress | undefined {
    const name = this.ring.primary(partition);
    return name === undefined ? undefined : this.#addresses.get(name);
  }

  replicaAddresses(partition: number, count: number): NodeAddress[] {
    return this.ring.preferenceList(partition, count).map((name) => this.#addresses.get(name) as NodeAddress);
  }
}

/** A silo that calls can no longer be answered by. */
export interface Departure {
  readonly silo: NodeAddress;
  /** It drained before it left: answers may still be on their way. */
  readonly graceful: boolean;
}

/**
 * What a node needs of the cluster; a silo has it from its membership, a client by following the silos' news.
 */
export interface Cluster {
  readonly era: Era;
  /** Called after every change of era, in order. Returns how to stop. */
  onEra(listener: (era: Era, departed: readonly Departure[]) => void): () => void;
  /** Something sent to this silo found nobody. */
  suspect(silo: NodeAddress): void;
}

/** Keeps the present era and tells listeners of each new one. */
export class EraKeeper {
  #partitions: number;
  readonly #listeners = new Set<(era: Era, departed: readonly Departure[]) => void>();
  current: Era;

  constructor(view: View, partitions: number) {
    this.#partitions = partitions;
    this.current = new Era(view, partitions);
  }

  /** Takes another number of partitions from the next era on: a client learns it from the silos. */
  set partitions(partitions: number) {
    this.#partitions = partitions;
  }

  onEra(listener: (era: Era, departed: readonly Departure[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks at the view; returns whether a new era began. */
  update(view: View): boolean {
    if (view.era === this.current.id) return false;
    const before = this.current;
    this.current = new Era(view, this.#partitions);
    const departed: Departure[] = [];
    for (const silo of before.present) {
      if (this.current.present.has(silo)) continue;
      const entry = view.entries().find((e) => addressOf(e) === silo);
      // That nobody listens there any more may be heard before that it has left.
      departed.push({ silo, graceful: entry?.status === 'left' || entry?.status === 'leaving' });
    }
    for (const listener of [...this.#listeners]) listener(this.current, departed);
    return true;
  }
}
