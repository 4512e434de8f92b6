import { memory } from '../../persistence/memory.ts';
import { Client, type ClientOptions } from '../client.ts';
import { InvalidConfigError } from '../errors.ts';
import type { Grain, GrainClass } from '../grain/grain.ts';
import { grainTypeOf } from '../grain/grain-type.ts';
import type { GrainRef } from '../grain/reference-types.ts';
import { canonicalKey, type GrainKey, grainIdOf } from '../identity/grain-id.ts';
import type { RuntimeEvent } from '../observability/events.ts';
import { runtimeOf, Silo } from '../silo.ts';
import type { SiloOptions } from '../silo-options.ts';
import type { GrainStore } from '../storage/grain-store.ts';
import type { InProcessNetwork } from '../transport/in-process.ts';
import type { Transport } from '../transport/transport.ts';
import { disagreements, type RunningSilo } from './agreement.ts';
import { RealWorld } from './real-world.ts';
import type { World } from './world.ts';

/** What every test cluster needs to know, in whatever world it lives. */
export interface ClusterOptions {
  readonly grains: readonly GrainClass[];
  /** For every silo. */
  readonly options?: Partial<Omit<SiloOptions, 'grains' | 'name' | 'transport' | 'stores'>>;
}

export interface TestClusterOptions extends ClusterOptions {
  /** Names of the silos to start with. Default: a, b and c. */
  readonly silos?: readonly string[];
  /** Default: a network in this process, which can be cut. */
  readonly transport?: Transport;
  /** Shared by all silos. `default` is one in memory unless you name it. */
  readonly stores?: Readonly<Record<string, GrainStore>>;
}

/** How long `settled()` waits before it says what is still under way. */
const SETTLE_MS = 20_000;
const POLL_MS = 20;

let clusters = 0;

/**
 * Several silos and a client in this process, in real time, with a network that can be cut. For tests of
 * grains and of Granary itself. A simulation's is the same in virtual time.
 */
export class TestCluster {
  readonly #options: ClusterOptions;
  readonly #cluster: string;
  readonly #world: World;
  readonly #running = new Map<string, Silo>();
  readonly #listeners = new Set<(silo: string, event: RuntimeEvent) => void>();
  readonly #waiters = new Set<() => void>();
  readonly #clients = new Map<string, Client>();

  protected constructor(options: ClusterOptions, world: World, cluster: string) {
    this.#options = options;
    this.#world = world;
    this.#cluster = options.options?.cluster ?? cluster;
  }

  /** Starts silos and client. */
  static async start(options: TestClusterOptions): Promise<TestCluster> {
    const world = new RealWorld(options.transport, { default: memory(), ...options.stores });
    const cluster = new TestCluster(options, world, `test-${++clusters}`);
    await cluster.begin(options.silos ?? ['a', 'b', 'c']);
    return cluster;
  }

  /** Starts silos and client; stops them again when one does not start. */
  protected async begin(silos: readonly string[]): Promise<void> {
    try {
      for (const name of silos) await this.start(name);
      await this.connect('client');
      await this.settled();
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The client, which is in no silo. */
  get client(): Client {
    const client = this.#clients.get('client');
    if (!client) throw new Error('the test cluster has no client yet');
    return client;
  }

  /** One more client, which `partition` and `crash` know by its name. Closed with the cluster, or before. */
  async connect(name: string, options: Partial<ClientOptions> = {}): Promise<Client> {
    if (this.#running.has(name) || this.#clients.has(name)) throw new Error(`'${name}' runs already`);
    const { log = 'silent', callTimeoutMs } = this.#options.options ?? {};
    const { stores: _none, ...doors } = this.#world.enter(name);
    const given = { cluster: this.#cluster, log, ...(callTimeoutMs !== undefined && { callTimeoutMs }) };
    const client = await Client.connect({ ...given, ...doors, ...options });
    this.#clients.set(name, client);
    if (this.#world instanceof RealWorld) this.#world.clients.set(name, client.address);
    return client;
  }

  /** The network, when it is the default one. */
  get network(): InProcessNetwork {
    if (this.#world instanceof RealWorld) return this.#world.network;
    throw new InvalidConfigError('the network of a simulation is reached through its cluster');
  }

  /** Names of the silos that run. */
  get names(): string[] {
    return [...this.#running.keys()];
  }

  silo(name: string): Silo {
    const silo = this.#running.get(name);
    if (silo) return silo;
    throw new Error(`no silo '${name}' runs; there are: ${this.names.join(', ') || 'none'}`);
  }

  /** A reference through the client. */
  grain<G extends Grain>(type: GrainClass<G> | string, key: GrainKey): GrainRef<G> {
    return this.client.grain(type, key);
  }

  /** Starts one more silo, or one of a name that was there before. */
  async start(name: string, options: Partial<SiloOptions> = {}): Promise<Silo> {
    if (this.#running.has(name)) throw new Error(`silo '${name}' runs already`);
    const doors = this.#world.enter(name);
    const given = { ...this.#options.options, ...options };
    const silo = await Silo.start({
      ...{ cluster: this.#cluster, name, log: 'silent', grains: this.#options.grains },
      ...doors,
      ...given,
      // From the first moment on, and whoever else listens: a simulation sees nothing without.
      onEvent: (event) => {
        doors.onEvent?.(event);
        given.onEvent?.(event);
        for (const listener of this.#listeners) listener(name, event);
        this.#wake();
      },
    });
    this.#running.set(name, silo);
    return silo;
  }

  /** Stops a silo in order. */
  async stop(name: string): Promise<void> {
    const silo = this.silo(name);
    this.#running.delete(name);
    await silo.stop();
    this.#wake();
  }

  protected isClient(name: string): boolean {
    return name !== 'client' && this.#clients.has(name);
  }

  /** A silo, or a client that was added, is gone without a word, as by `kill -9`. */
  crash(name: string): void {
    const client = this.isClient(name) ? this.#clients.get(name) : undefined;
    if (client) {
      this.#clients.delete(name);
      return this.#world.crashClient(name, client);
    }
    const silo = this.silo(name);
    this.#running.delete(name);
    this.#world.crash(name, silo);
    this.#wake();
  }

  /**
   * Nothing passes between the groups any more. The client stays with the first unless it is named:
   * `'client'`. Throws when no silo of a name runs: a misspelt cut would cut nothing.
   */
  partition(groupA: readonly string[], groupB: readonly string[]): void {
    for (const name of [...groupA, ...groupB]) if (!this.#clients.has(name)) this.silo(name);
    const named = [...groupA, ...groupB].includes('client');
    this.#world.cut(named ? groupA : [...groupA, 'client'], groupB);
  }

  /** Undoes every `partition`. */
  heal(): void {
    this.#world.heal();
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
    const { clock } = this.#world;
    const deadline = clock.now() + timeoutMs;
    for (;;) {
      const open = this.#unsettled();
      if (open.length === 0) return;
      if (clock.now() > deadline)
        throw new Error(`the cluster did not settle in ${timeoutMs} ms: ${open.join('; ')}`);
      await this.#change();
    }
  }

  /** Where a grain is active. One that is moving is where it comes to, once it is there. */
  activationsOf(type: GrainClass | string, key: GrainKey): { silo: string; activationId: string }[] {
    const name = typeof type === 'string' ? type : grainTypeOf(type).name;
    const id = grainIdOf(name, canonicalKey(name, key));
    const found = this.running.flatMap(({ name, runtime: { catalog, directory, dispatcher, workers } }) => {
      const activation = catalog.find(directory.partitionOf(id), id);
      const all = activation ? [activation] : workers.find(id);
      return all.map((each) => ({ name, each, leaves: dispatcher.moves.isLeaving(each) }));
    });
    const there = found.filter(({ leaves }) => !leaves);
    return (there.length > 0 ? there : found).map(({ name, each }) => ({
      silo: name,
      activationId: each.activationId,
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#world.heal();
    await Promise.all([...this.#clients.values()].map((client) => client.close()));
    await Promise.all(this.names.map((name) => this.stop(name)));
  }

  /** The parts of the silos that run. */
  protected get running(): RunningSilo[] {
    return [...this.#running].map(([name, silo]) => ({ name, runtime: runtimeOf(silo) }));
  }

  /** What is still under way, in words. */
  #unsettled(): string[] {
    const { running } = this;
    const areCut = (one: string, other: string) => this.#world.areCut(one, other);
    const open = disagreements(running, areCut);
    const known = this.#clients.get('client')?.silos.join(', ');
    const near = running.find(({ name }) => !areCut('client', name));
    if (known !== undefined && near && known !== near.runtime.membership.era.ring.silos.join(', ')) {
      open.push(`the client knows ${known || 'nobody'}`);
    }
    return open;
  }

  /** The next event of any silo, or a short while. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        this.#waiters.delete(done);
        resolve();
      };
      const timer = this.#world.clock.after(POLL_MS, done);
      this.#waiters.add(done);
    });
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }
}
