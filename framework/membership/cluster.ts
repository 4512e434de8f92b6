import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { RuntimeEvents } from '../observability/events.ts';
import { Ring } from '../ring/ring.ts';
import type { Clock, Timer } from '../system/clock.ts';
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
  /** What was known of those, and their epochs. */
  readonly members: readonly SiloEntry[];
  readonly epochs: ReadonlyMap<NodeAddress, number>;
  readonly #entries = new Map<string, SiloEntry>();
  readonly #addresses = new Map<string, NodeAddress>();

  constructor(view: View, partitions: number) {
    this.id = view.era;
    const present = view.present();
    this.members = present;
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

export interface EraKeeperOptions {
  readonly clock: Clock;
  readonly partitions: number;
  /** The silo whose eras these are, and what it tells; a client has none. */
  readonly name?: string;
  readonly events?: RuntimeEvents;
  /** Whether another era may begin. */
  readonly mayBegin?: () => boolean;
}

/**
 * After an era has begun, silos that arrive wait this long for others that arrive: a thousand that start
 * together make tens of eras and not thousands, each of which costs a ring and a roll call. Nobody waits who
 * has started alone, and nothing else does: who leaves, is gone, or comes back is heeded at once. Nor does
 * anybody in a small cluster: several that start at one moment, each of them alone, must see each other.
 */
const ARRIVALS_MS = 10;

/** Keeps the present era and tells listeners of each new one. */
export class EraKeeper {
  readonly #options: EraKeeperOptions;
  readonly #listeners = new Set<(era: Era, departed: readonly Departure[]) => void>();
  #partitions: number;
  #view: View;
  #arrivalsFrom = Number.NEGATIVE_INFINITY;
  #waiting: Timer | undefined;
  current: Era;

  constructor(view: View, options: EraKeeperOptions) {
    this.#options = options;
    this.#partitions = options.partitions;
    this.#view = view;
    this.current = new Era(view, options.partitions);
  }

  /** Takes another number of partitions from the next era on: a client learns it from the silos. */
  set partitions(partitions: number) {
    this.#partitions = partitions;
  }

  onEra(listener: (era: Era, departed: readonly Departure[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks at the view: a new era begins, now or soon, if it is another. */
  update(view: View): void {
    this.#view = view;
    if (!this.#isOver) return;
    const inMs = this.#mayWaitMs();
    if (inMs <= 0) this.#begin();
    else this.#waiting ??= this.#options.clock.inBackground(inMs, () => this.#afterWaiting());
  }

  stop(): void {
    this.#waiting?.cancel();
  }

  get #isOver(): boolean {
    return this.#options.mayBegin?.() !== false && this.#view.era !== this.current.id;
  }

  #mayWaitMs(): number {
    const { members } = this.current;
    if (members.length <= LIMITS.monitors) return 0;
    const { name, clock } = this.#options;
    const self = name === undefined ? undefined : this.#view.get(name);
    const present = this.#view.present();
    if (!members.every((entry) => this.#view.get(entry.name) === entry)) return 0;
    if (present.length === members.length) return ARRIVALS_MS; // somebody is about to arrive
    if (self && present.includes(self) && !members.includes(self)) return 0;
    return this.#arrivalsFrom - clock.now();
  }

  #afterWaiting(): void {
    this.#waiting = undefined;
    if (this.#isOver) this.#begin();
  }

  #begin(): void {
    this.#waiting?.cancel();
    this.#waiting = undefined;
    this.#arrivalsFrom = this.#options.clock.now() + ARRIVALS_MS;
    const before = this.current;
    const era = new Era(this.#view, this.#partitions);
    this.current = era;
    const departed: Departure[] = [];
    for (const entry of before.members) {
      const silo = addressOf(entry);
      if (era.present.has(silo)) continue;
      const known = this.#view.get(entry.name);
      // That nobody listens there any more may be heard before that it has left.
      const wasLeaving = known?.status === 'left' || known?.status === 'leaving';
      departed.push({ silo, graceful: known?.incarnation === entry.incarnation && wasLeaving });
    }
    for (const listener of [...this.#listeners]) listener(era, departed);
    this.#options.events?.publish({
      type: 'viewChanged',
      era: this.current.id,
      silos: this.current.ring.silos,
    });
  }
}
