import type { Client } from '../client.ts';
import { InvalidConfigError } from '../errors.ts';
import { runtimeOf, type Silo } from '../silo.ts';
import type { GrainStore } from '../storage/grain-store.ts';
import { systemClock } from '../system/clock.ts';
import { type InProcessNetwork, inProcess } from '../transport/in-process.ts';
import type { Transport } from '../transport/transport.ts';
import { type GatedStore, gated } from './gated-store.ts';
import { Cuts, type Doors, type World } from './world.ts';

/** This process, in real time. */
export class RealWorld implements World {
  readonly clock = systemClock;
  readonly #network: InProcessNetwork | undefined;
  readonly #transport: Transport;
  readonly #stores: Readonly<Record<string, GrainStore>>;
  readonly #gates = new Map<string, readonly GatedStore[]>();
  readonly #cuts = new Cuts();
  /** Addresses of clients: the network does not know them by the names that they have in a test. */
  readonly clients = new Map<string, string>();

  constructor(transport: Transport | undefined, stores: Readonly<Record<string, GrainStore>>) {
    this.#network = transport ? undefined : inProcess();
    this.#transport = transport ?? (this.#network as InProcessNetwork);
    this.#stores = stores;
  }

  get network(): InProcessNetwork {
    if (this.#network) return this.#network;
    throw new InvalidConfigError(
      'only the network inside the process can be cut; this cluster has a transport of its own',
    );
  }

  enter(name: string): Doors {
    const gates = new Map<GrainStore, GatedStore>();
    const stores = Object.entries(this.#stores).map(([store, shared]) => {
      const gate = gates.get(shared) ?? gated(shared);
      gates.set(shared, gate);
      return [store, gate] as const;
    });
    this.#gates.set(name, [...gates.values()]);
    return { transport: this.#transport, stores: Object.fromEntries(stores) };
  }

  crash(name: string, silo: Silo): void {
    const runtime = runtimeOf(silo);
    for (const gate of this.#gates.get(name) ?? []) gate.crash();
    this.#network?.crash(runtime.node.address);
    void runtime.halt();
  }

  crashClient(_name: string, client: Client): void {
    this.#network?.crash(client.address);
    void client.close();
  }

  cut(groupA: readonly string[], groupB: readonly string[]): void {
    const place = (name: string) => this.clients.get(name) ?? name;
    this.network.partition(groupA.map(place), groupB.map(place));
    this.#cuts.add(groupA, groupB);
  }

  heal(): void {
    this.#network?.heal();
    this.#cuts.clear();
  }

  areCut(one: string, other: string): boolean {
    return this.#cuts.has(one, other);
  }
}
