import type { Client } from '../../client.ts';
import { LIMITS } from '../../limits.ts';
import type { RuntimeEvent } from '../../observability/events.ts';
import type { SiloRuntime } from '../../runtime/silo-runtime.ts';
import { runtimeOf, type Silo } from '../../silo.ts';
import type { GrainStore } from '../../storage/grain-store.ts';
import type { Clock } from '../../system/clock.ts';
import { MemoryLog } from '../../topics/memory-log.ts';
import { disagreements, type RunningSilo } from '../agreement.ts';
import { Invariants } from '../invariants/invariants.ts';
import type { Observation, WorldEvent } from '../invariants/observation.ts';
import { Cuts, type Doors, type World } from '../world.ts';
import { checkConditions } from './check-options.ts';
import { Engine } from './engine.ts';
import { simulatedLog } from './event-log.ts';
import { History } from './history.ts';
import { Host } from './host.ts';
import { type NetworkConditions, QUIET, SimulatedNetwork } from './network.ts';
import { simulatedStore } from './reminder-store.ts';
import { type SimulatedStore, STORE_WORKS, type StoreConditions, StoreSite } from './store.ts';

export interface SimulationOptions {
  readonly seed: number;
  readonly stores: Readonly<Record<string, GrainStore>>;
  /** Grain types whose activations are stateless workers. */
  readonly workerTypes: readonly string[];
  readonly trace: ((line: string) => void) | undefined;
}

/** Messages of a megabyte, as on a NATS server. */
const MAX_PAYLOAD_BYTES = 1024 * 1024;
/** How often it is looked whether the silos agree, while they do not; in virtual milliseconds. */
const AGREEMENT_MS = 10;
/** Latency beyond which a network that works is taken for one that does not: heartbeats come too late. */
const SLOW_MS = 20;
/** What may change whether the silos agree. */
const ABOUT_VIEWS: ReadonlySet<string> = new Set([
  'viewChanged',
  'eraSettled',
  'siloStarted',
  'siloStopped',
  'siloSuspected',
  'awayNoticed',
]);

/**
 * The world of a simulated cluster: its machines, its network and its stores, and what is to be seen of them.
 * Every observation goes into the hash, into the history, and past the invariants, as it happens.
 */
export class Simulation implements World {
  readonly engine: Engine;
  readonly network: SimulatedNetwork;
  readonly history: History;
  /** Where the story runs. */
  readonly story: Host;
  readonly clock: Clock;
  readonly #invariants: Invariants;
  readonly #stores: Readonly<Record<string, GrainStore>>;
  readonly #site: StoreSite;
  readonly #log = new MemoryLog({ shards: LIMITS.topicShards, maxEvents: 1_000_000 });
  readonly #hosts = new Map<string, Host>();
  readonly #cuts = new Cuts();
  #hostCount = 0;
  #whole = true;
  #ordered = true;
  #agreed = false;
  #doubtsAgreement = true;
  #lookedAt = 0;
  /** The silos that run; the cluster tells. */
  running: () => readonly RunningSilo[] = () => [];

  constructor(options: SimulationOptions) {
    this.engine = new Engine(options.seed);
    this.network = new SimulatedNetwork(this.engine, MAX_PAYLOAD_BYTES);
    this.history = new History(options.trace);
    this.#invariants = new Invariants({ workerTypes: options.workerTypes });
    this.#stores = options.stores;
    this.story = this.#addHost('story');
    this.clock = this.story.clock;
    this.#site = new StoreSite(this.#addHost('store'), this.network, (by, event) => this.observe(by, event));
  }

  // ---- the world of the cluster

  enter(name: string): Doors {
    const host = this.#addHost(name);
    const { clock, random } = host;
    const shared = new Map<GrainStore, SimulatedStore>();
    const stores = Object.entries(this.#stores).map(([store, inner]) => {
      const simulated = shared.get(inner) ?? simulatedStore(this.#site, host, inner);
      shared.set(inner, simulated);
      return [store, simulated] as const;
    });
    const onEvent = (event: RuntimeEvent) => this.observe(host, event);
    const transport = this.network.at(host);
    const topics = simulatedLog(this.#site, host, this.#log);
    return { clock, random, transport, onEvent, stores: Object.fromEntries(stores), topics };
  }

  /** The process ends; its connections close, unless its machine is gone with it: then nobody hears of it. */
  crash(name: string, silo?: Silo): void {
    const host = this.host(name);
    this.note(`${name} crashes${host.silent ? ' with its machine' : ''}`);
    this.observe(host, { type: 'nodeCrashed' });
    host.die();
    this.network.lose(host);
    this.#hosts.delete(name);
    // What the story itself had asked this silo for will not be answered.
    if (silo) host.run(() => abandon(runtimeOf(silo)));
    this.changed();
  }

  crashClient(name: string, client: Client): void {
    const host = this.host(name);
    this.crash(name);
    host.run(() => void client.close()); // what the story had asked it for will not be answered
  }

  /** Its process has ended in order. */
  gone(host: Host): void {
    if (this.#hosts.get(host.name) !== host) return;
    this.#hosts.delete(host.name);
    this.changed();
  }

  cut(groupA: readonly string[], groupB: readonly string[], how: 'silent' | 'refused' = 'silent'): void {
    this.note(`cut: ${groupA.join(', ')} | ${groupB.join(', ')}${how === 'refused' ? ' (refused)' : ''}`);
    this.#cuts.add(groupA, groupB);
    for (const a of groupA) {
      for (const b of groupB) {
        this.network.cut(a, b, how);
        this.network.cut(b, a, how);
      }
    }
    this.changed();
  }

  heal(): void {
    this.note('every cable is whole');
    this.#cuts.clear();
    this.network.heal();
    this.changed();
  }

  areCut(one: string, other: string): boolean {
    return this.#cuts.has(one, other);
  }

  // ---- trouble

  cutOneWay(from: readonly string[], to: readonly string[]): void {
    this.note(`cut one way: ${from.join(', ')} > ${to.join(', ')}`);
    for (const a of from) for (const b of to) this.network.cut(a, b);
    this.changed();
  }

  pause(name: string): void {
    const host = this.host(name);
    if (host.paused) return;
    this.note(`${name} is paused`);
    this.#hamper(host, () => host.pause());
  }

  resume(name: string): void {
    const host = this.host(name);
    if (!host.paused) return;
    this.note(`${name} goes on`);
    this.#hamper(host, () => host.resume());
  }

  slow(name: string, costMs: number): void {
    this.note(costMs > 0 ? `${name} is slow: ${costMs.toFixed(2)} ms for everything` : `${name} is as usual`);
    const host = this.host(name);
    this.#hamper(host, () => {
      host.costMs = costMs;
    });
  }

  jumpClock(name: string, byMs: number): void {
    this.note(`the clock of ${name} jumps by ${Math.round(byMs)} ms`);
    this.host(name).wallErrorMs += byMs;
  }

  disconnect(names: readonly string[]): void {
    this.note(`${names.join(', ')}: disconnected`);
    for (const name of names) this.network.disconnect(this.host(name));
    this.changed();
  }

  /** At once, or each at some time of its own. */
  reconnect(name: string): void {
    this.note(`${name}: connected again`);
    this.network.reconnect(this.host(name));
    this.changed();
  }

  setNetwork(conditions: Partial<NetworkConditions>): void {
    checkConditions(this.network.conditions, conditions);
    this.network.conditions = { ...this.network.conditions, ...conditions };
    this.note(`network: ${describe(this.network.conditions)}`);
    this.changed();
  }

  setStores(conditions: Partial<StoreConditions>): void {
    checkConditions(this.#site.conditions, conditions);
    this.#site.conditions = { ...this.#site.conditions, ...conditions };
    this.note(`stores: ${describe(this.#site.conditions)}`);
  }

  /** Everything works again that was broken, but what has crashed stays away. */
  calm(): void {
    for (const [name, host] of this.#hosts) {
      if (host.paused) this.resume(name);
      if (host.costMs > 0) this.slow(name, 0);
    }
    this.network.heal();
    this.#cuts.clear();
    for (const host of this.#hosts.values()) this.network.reconnect(host);
    this.network.conditions = QUIET;
    this.#site.conditions = STORE_WORKS;
    this.note('everything works again');
    this.changed();
  }

  host(name: string): Host {
    const host = this.#hosts.get(name);
    if (host) return host;
    throw new Error(`no host '${name}' runs; there are: ${[...this.#hosts.keys()].join(', ')}`);
  }

  hosts(): Host[] {
    return [...this.#hosts.values()];
  }

  // ---- what is seen

  observe(host: Host, event: RuntimeEvent | WorldEvent): void {
    if (host.dead && event.type !== 'recordApplied') return;
    if (ABOUT_VIEWS.has(event.type)) this.#doubtsAgreement = true;
    if (this.#doubtsAgreement || !this.#agreed) this.#lookAtAgreement();
    this.#see({ at: this.engine.now, node: host.address, event });
  }

  /** Something that is done to the world, for the history. */
  note(text: string): void {
    this.engine.hash.text(text);
    this.history.note(this.engine.now, text);
  }

  /** Network or machines are not as before: whoever judges must know. */
  changed(): void {
    const hosts = this.hosts();
    const { network } = this;
    const healthy = !hosts.some((host) => host.hampered);
    const whole = healthy && network.isWhole && network.conditions.jitterMs <= SLOW_MS;
    const ordered = network.isOrdered;
    this.#doubtsAgreement = true;
    if (whole === this.#whole && ordered === this.#ordered) return;
    this.#whole = whole;
    this.#ordered = ordered;
    this.#see({ at: this.engine.now, node: '', event: { type: 'networkChanged', whole, ordered } });
  }

  /** What is wrong when nothing more will happen. */
  finish(): void {
    for (const violation of this.#invariants.finish(this.engine.now))
      this.engine.fail(violationError(violation));
  }

  /** Who is slow may be as late as who is paused. */
  #hamper(host: Host, change: () => void): void {
    const before = host.hampered;
    change();
    if (host.hampered !== before) this.observe(host, { type: before ? 'nodeResumed' : 'nodePaused' });
    this.changed();
  }

  #lookAtAgreement(): void {
    const { now } = this.engine;
    if (!this.#doubtsAgreement && now < this.#lookedAt + AGREEMENT_MS) return;
    this.#lookedAt = now;
    this.#doubtsAgreement = false;
    const running = this.running();
    const agreed = running.length > 0 && disagreements(running, () => false).length === 0;
    if (agreed === this.#agreed) return;
    this.#agreed = agreed;
    this.#see({ at: now, node: '', event: { type: 'agreementChanged', agreed } });
  }

  #see(observation: Observation): void {
    const { hash } = this.engine;
    hash.text(observation.event.type);
    if ('grain' in observation.event) hash.text(observation.event.grain);
    this.history.see(observation);
    const violation = this.#invariants.observe(observation);
    if (violation) this.engine.fail(violationError(violation));
  }

  #addHost(name: string): Host {
    const host = new Host(this.engine, name, this.#hostCount++);
    this.#hosts.set(name, host);
    return host;
  }
}

function abandon({ outbound, node }: SiloRuntime): void {
  outbound.stop();
  node.control.close();
}

function violationError({ invariant, message }: { invariant: string; message: string }): Error {
  return new Error(`${invariant}: ${message}`);
}

function describe(conditions: object): string {
  return Object.entries(conditions)
    .filter(([, value]) => value > 0)
    .map(([name, value]) => `${name} ${Number(value).toPrecision(2)}`)
    .join(', ');
}
