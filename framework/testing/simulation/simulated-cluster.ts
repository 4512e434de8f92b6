import type { NodeAddress } from '../../identity/silo-address.ts';
import { runtimeOf, type Silo } from '../../silo.ts';
import type { SiloOptions } from '../../silo-options.ts';
import { sleep } from '../../system/clock.ts';
import { directoryAgrees, nothingLeft, singleActivations } from '../invariants/state-checks.ts';
import { type ClusterOptions, TestCluster } from '../test-cluster.ts';
import { checkNumber } from './check-options.ts';
import type { NetworkConditions } from './network.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { Simulation } from './simulation.ts';
import type { StoreConditions } from './store.ts';

/** How long things may still go on after the last silo has stopped, in virtual milliseconds. */
const WIND_DOWN_MS = 30_000;
/** How often what the silos hold is looked at, until it is right; in virtual milliseconds. */
const EXAMINE_MS = 100;

/**
 * A test cluster in virtual time, and all the trouble that can be made for it. Names are those of silos;
 * `client` is the client, and `store` the machine that the stores are on.
 */
export class SimulatedCluster extends TestCluster {
  readonly #simulation: Simulation;
  readonly #leaving = new Map<string, Silo>();
  /** Chance for the story's own choices. */
  readonly random: SeededRandom;

  constructor(options: ClusterOptions, simulation: Simulation) {
    super(options, simulation, 'simulation');
    this.#simulation = simulation;
    this.random = simulation.engine.random.fork('story');
    simulation.running = () => this.running;
  }

  /** Whether a node of this name runs, or starts, or leaves. */
  runs(name: string): boolean {
    return this.#simulation.hosts().some((host) => host.name === name);
  }

  /** Name and incarnation of a silo that runs. */
  addressOf(name: string): NodeAddress {
    return runtimeOf(this.silo(name)).node.address;
  }

  /** Virtual milliseconds since the beginning. */
  get now(): number {
    return this.#simulation.engine.now;
  }

  /** Lets virtual time pass. */
  sleep(ms: number): Promise<void> {
    checkNumber('ms', ms);
    return sleep(this.#simulation.clock, ms);
  }

  /** A line of its own in the history. */
  note(text: string): void {
    this.#simulation.note(text);
  }

  override async start(name: string, options: Partial<SiloOptions> = {}): Promise<Silo> {
    this.note(`${name} starts`);
    const starting = super.start(name, options);
    const silo = await this.#unlessItDies(name, starting);
    if (silo) return silo;
    throw new Error(`silo '${name}' crashed while it started`);
  }

  override async stop(name: string): Promise<void> {
    this.note(`${name} leaves`);
    const host = this.#simulation.host(name);
    this.#leaving.set(name, this.silo(name));
    const stopping = host.run(() => super.stop(name));
    await this.#unlessItDies(name, stopping);
    this.#leaving.delete(name);
    this.#simulation.gone(host);
  }

  /** Also while it starts or leaves. */
  override crash(name: string): void {
    if (this.names.includes(name) || this.isClient(name)) super.crash(name);
    else this.#simulation.crash(name, this.#leaving.get(name));
  }

  /** Gone with its machine: not even its connections are seen to close. */
  vanish(name: string): void {
    this.#simulation.host(name).silent = true;
    this.crash(name);
  }

  /** As `partition`, but the servers between them know, so that what is sent bounces. */
  partitionLoudly(groupA: readonly string[], groupB: readonly string[]): void {
    this.#simulation.cut(groupA, groupB, 'refused');
  }

  /** What `from` sends does not reach `to`; the other way all is well. */
  partitionOneWay(from: readonly string[], to: readonly string[]): void {
    this.#simulation.cutOneWay(from, to);
  }

  /** The process stops, as by SIGSTOP, until `resume`: its timers and what it receives wait. */
  pause(name: string): void {
    this.#simulation.pause(name);
  }

  resume(name: string): void {
    this.#simulation.resume(name);
  }

  /** Everything that the silo does takes this long, one after the other; 0 for none. */
  slow(name: string, costMs: number): void {
    checkNumber('costMs', costMs, 0);
    this.#simulation.slow(name, costMs);
  }

  /** The wall clock of a silo is set. Its timers do not notice. */
  jumpClock(name: string, byMs: number): void {
    checkNumber('byMs', byMs);
    this.#simulation.jumpClock(name, byMs);
  }

  /** Nodes lose their connection to the network's server and know it; all of them when none is named. */
  disconnect(...names: string[]): void {
    this.#simulation.disconnect(names.length > 0 ? names : [...this.names, 'client']);
  }

  reconnect(...names: string[]): void {
    for (const name of names.length > 0 ? names : [...this.names, 'client']) this.#simulation.reconnect(name);
  }

  /** How the network fares from now on. */
  setNetwork(conditions: Partial<NetworkConditions>): void {
    this.#simulation.setNetwork(conditions);
  }

  /** How the stores fare from now on. */
  setStores(conditions: Partial<StoreConditions>): void {
    this.#simulation.setStores(conditions);
  }

  #unlessItDies<T>(name: string, doing: Promise<T>): Promise<T | undefined> {
    const died = new Promise<undefined>((resolve) => {
      this.#simulation.host(name).onDeath = () => resolve(undefined);
    });
    return Promise.race([doing, died]);
  }

  /**
   * Waits until what the silos hold is as it should be when nothing happens: what they told each other last
   * may still be on its way, or was lost and must be repaired. Throws when it takes longer than `timeoutMs`.
   */
  async examine(timeoutMs: number): Promise<void> {
    const deadline = this.now + timeoutMs;
    for (;;) {
      await this.settled(timeoutMs);
      const runtimes = this.running.map(({ runtime }) => runtime);
      const wrong = [...directoryAgrees(runtimes), ...singleActivations(runtimes)];
      if (wrong.length === 0) return;
      if (this.now > deadline) throw new Error(wrong.join('; '));
      await this.sleep(EXAMINE_MS);
    }
  }

  /** Starts silos and client. */
  override begin(silos: readonly string[]): Promise<void> {
    return super.begin(silos);
  }

  /** Stops all in order. Throws when they leave something behind. */
  async end(): Promise<void> {
    const runtimes = this.running.map(({ runtime }) => runtime);
    const hosts = this.#simulation.hosts().filter((host) => host !== this.#simulation.story);
    await this[Symbol.asyncDispose]();
    await this.sleep(WIND_DOWN_MS);
    const timers = hosts
      .filter((host) => host.timers > 0)
      .map(({ name, timers }) => `${name} has ${timers} timers or intervals that nobody cleared`);
    const left = [...runtimes.flatMap(nothingLeft), ...timers];
    if (left.length > 0) throw new Error(`after all silos have stopped: ${left.join('; ')}`);
  }

  /**
   * No more `faults` begin. Ends all trouble, and resolves when silos that start or stop have done so.
   */
  stopFaults: () => Promise<void> = async () => this.calm();

  /** Ends all trouble; silos that have crashed stay away. */
  calm(): void {
    this.#simulation.calm();
  }
}
