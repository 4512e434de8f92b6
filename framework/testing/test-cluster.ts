import { memory } from '../../persistence/memory.ts';
import { Client } from '../client.ts';
import { InvalidConfigError } from '../errors.ts';
import type { Grain, GrainClass } from '../grain/grain.ts';
import { grainTypeOf } from '../grain/grain-type.ts';
import type { GrainRef } from '../grain/reference-types.ts';
import { canonicalKey, type GrainKey, grainIdOf } from '../identity/grain-id.ts';
import type { RuntimeEvent } from '../observability/events.ts';
import { runtimeOf, Silo } from '../silo.ts';
import type { SiloOptions } from '../silo-options.ts';
import type { GrainStore } from '../storage/grain-store.ts';
import { systemClock } from '../system/clock.ts';
import { type InProcessNetwork, inProcess } from '../transport/in-process.ts';
import type { Transport } from '../transport/transport.ts';
import { GatedStore } from './gated-store.ts';

export interface TestClusterOptions {
  /** Names of the silos to start with. Default: a, b and c. */
  readonly silos?: readonly string[];
  readonly grains: readonly GrainClass[];
  /** Default: a network in this process, which can be cut. */
  readonly transport?: Transport;
  /** Shared by all silos. Default: one in memory. */
  readonly stores?: Readonly<Record<string, GrainStore>>;
  /** For every silo. */
  readonly options?: Partial<Omit<SiloOptions, 'grains' | 'name' | 'transport' | 'stores'>>;
}

interface Running {
  readonly silo: Silo;
  readonly stores: readonly GatedStore[];
}

/** How long `settled()` waits before it says what is still under way. */
const SETTLE_MS = 20_000;

let clusters = 0;

/**
 * Several silos and a client in this process, in real time, with a network that can be cut. For tests of
 * grains and of Granary itself.
 */
export class TestCluster {
  readonly #options: TestClusterOptions;
  readonly #cluster: string;
  readonly #network: InProcessNetwork | undefined;
  readonly #transport: Transport;
  readonly #stores: Readonly<Record<string, GrainStore>>;
  readonly #running = new Map<string, Running>();
  readonly #listeners = new Set<(silo: string, event: RuntimeEvent) => void>();
  readonly #waiters = new Set<() => void>();
  readonly #cuts: (readonly [ReadonlySet<string>, ReadonlySet<string>])[] = [];
  #client: Client | undefined;

  private constructor(options: TestClusterOptions) {
    this.#options = options;
    this.#cluster = options.options?.cluster ?? `test-${++clusters}`;
    this.#network = options.transport ? undefined : inProcess();
    this.#transport = options.transport ?? (this.#network as InProcessNetwork);
    this.#stores = options.stores ?? { default: memory() };
  }

  /** Starts silos and client. */
  static async start(options: TestClusterOptions): Promise<TestCluster> {
    const cluster = new TestCluster(options);
    try {
      for (const name of options.silos ?? ['a', 'b', 'c']) await cluster.start(name);
      const { log = 'silent', callTimeoutMs } = options.options ?? {};
      cluster.#client = await Client.connect({
        ...{ cluster: cluster.#cluster, transport: cluster.#transport, log },
        ...(callTimeoutMs !== undefined && { callTimeoutMs }),
      });
      await cluster.settled();
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** The client, which is in no silo. */
  get client(): Client {
    if (!this.#client) throw new Error('the test cluster has no client yet');
    return this.#client;
  }

  /** The network, when it is the default one. */
  get network(): InProcessNetwork {
    if (this.#network) return this.#network;
    throw new InvalidConfigError(
      'only the network inside the process can be cut; this cluster has a transport of its own',
    );
  }

  /** Names of the silos that run. */
  get names(): string[] {
    return [...this.#running.keys()];
  }

  silo(name: string): Silo {
    const running = this.#running.get(name);
    if (running) return running.silo;
    throw new Error(`no silo '${name}' runs; there are: ${this.names.join(', ') || 'none'}`);
  }

  /** A reference through the client. */
  grain<G extends Grain>(type: GrainClass<G> | string, key: GrainKey): GrainRef<G> {
    return this.client.grain(type, key);
  }

  /** Starts one more silo, or one of a name that was there before. */
  async start(name: string, options: Partial<SiloOptions> = {}): Promise<Silo> {
    if (this.#running.has(name)) throw new Error(`silo '${name}' runs already`);
    const gates = new Map<GrainStore, GatedStore>();
    const stores = Object.entries(this.#stores).map(([store, shared]) => {
      const gate = gates.get(shared) ?? new GatedStore(shared);
      gates.set(shared, gate);
      return [store, gate] as const;
    });
    const silo = await Silo.start({
      ...{ cluster: this.#cluster, name, transport: this.#transport, log: 'silent' },
      grains: this.#options.grains,
      stores: Object.fromEntries(stores),
      ...this.#options.options,
      ...options,
    });
    silo.subscribe((event) => {
      for (const listener of this.#listeners) listener(name, event);
      this.#wake();
    });
    this.#running.set(name, { silo, stores: [...gates.values()] });
    return silo;
  }

  /** Stops a silo in order. */
  async stop(name: string): Promise<void> {
    const silo = this.silo(name);
    this.#running.delete(name);
    await silo.stop();
    this.#wake();
  }

  /** A silo is gone without a word, as by `kill -9`. */
  crash(name: string): void {
    const silo = this.silo(name);
    const { stores } = this.#running.get(name) as Running;
    this.#running.delete(name);
    const runtime = runtimeOf(silo);
    for (const store of stores) store.crash();
    this.#network?.crash(runtime.node.address);
    void runtime.halt();
    this.#wake();
  }

  /**
   * Nothing passes between the groups any more. The client stays with the first unless it is named:
   * `'client'`. Throws when no silo of a name runs: a misspelt cut would cut nothing.
   */
  partition(groupA: readonly string[], groupB: readonly string[]): void {
    const client = this.client.address;
    for (const name of [...groupA, ...groupB]) if (name !== 'client') this.silo(name);
    const place = (group: readonly string[]) => group.map((name) => (name === 'client' ? client : name));
    const named = [...groupA, ...groupB].includes('client');
    const first = named ? groupA : [...groupA, 'client'];
    this.network.partition(place(first), place(groupB));
    this.#cuts.push([new Set(first), new Set(groupB)]);
  }

  /** Undoes every `partition`. */
  heal(): void {
    this.network.heal();
    this.#cuts.length = 0;
  }

  /** Listens to what all silos tell, also those that start later. */
  subscribe(listener: (silo: string, event: RuntimeEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Resolves when the views agree, the directory has converged and nothing is on its way to another silo.
   * While the network is cut, when that is so among those that can reach each other.
   */
  async settled(timeoutMs: number = SETTLE_MS): Promise<void> {
    const deadline = systemClock.now() + timeoutMs;
    for (;;) {
      const open = this.#unsettled();
      if (open.length === 0) return;
      if (systemClock.now() > deadline)
        throw new Error(`the cluster did not settle in ${timeoutMs} ms: ${open.join('; ')}`);
      await this.#change();
    }
  }

  /** Where a grain is active. */
  activationsOf(type: GrainClass | string, key: GrainKey): { silo: string; activationId: string }[] {
    const name = typeof type === 'string' ? type : grainTypeOf(type).name;
    const id = grainIdOf(name, canonicalKey(name, key));
    return [...this.#running].flatMap(([silo, running]) => {
      const { catalog, directory, workers } = runtimeOf(running.silo);
      const activation = catalog.find(directory.partitionOf(id), id);
      const all = activation ? [activation] : workers.find(id);
      return all.map(({ activationId }) => ({ silo, activationId }));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#network?.heal();
    await this.#client?.close();
    await Promise.all(this.names.map((name) => this.stop(name)));
  }

  /** What is still under way, in words. */
  #unsettled(): string[] {
    const runtimes = [...this.#running].map(([name, { silo }]) => ({ name, runtime: runtimeOf(silo) }));
    const open: string[] = [];
    const eras = new Map<string, string>();
    for (const { name, runtime } of runtimes) {
      const mates = runtimes.filter((other) => !this.#areCut(name, other.name));
      const present = mates
        .map((other) => other.runtime.node.address)
        .sort()
        .join(', ');
      const era = eras.get(present) ?? runtime.directory.era.id;
      eras.set(present, era);
      if (era !== runtime.directory.era.id) open.push(`${name} is in another era`);
      const seen = [...runtime.directory.era.present].sort().join(', ');
      if (seen !== present) open.push(`${name} sees ${seen || 'nobody'} instead of ${present}`);
      else if (!runtime.directory.settled) open.push(`${name} waits for the others`);
      else if (runtime.dispatcher.waiting > 0) open.push(`${name} places grains`);
      if (runtime.membership.view.some((entry) => entry.status === 'joining' && !entry.unreachable)) {
        open.push(`${name} knows of a silo that is joining`);
      }
    }
    const known = this.#client?.silos.join(', ');
    const near = runtimes.find(({ name }) => !this.#areCut('client', name));
    if (known !== undefined && near && known !== near.runtime.membership.era.ring.silos.join(', ')) {
      open.push(`the client knows ${known || 'nobody'}`);
    }
    return open;
  }

  #areCut(one: string, other: string): boolean {
    return this.#cuts.some(([a, b]) => (a.has(one) && b.has(other)) || (a.has(other) && b.has(one)));
  }

  /** The next event of any silo, or a short while. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        this.#waiters.delete(done);
        resolve();
      };
      const timer = systemClock.after(20, done);
      this.#waiters.add(done);
    });
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }
}
