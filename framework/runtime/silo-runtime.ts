import { Directory } from '../directory/directory.ts';
import type { LocalActivations } from '../directory/local-activations.ts';
import { SiloGroups } from '../directory/silo-groups.ts';
import { InvalidConfigError, SiloUnavailableError } from '../errors.ts';
import type { GrainType } from '../grain/grain-type.ts';
import type { GrainId } from '../identity/grain-id.ts';
import { type NodeAddress, nodeName } from '../identity/silo-address.ts';
import type { DetectionTimes } from '../membership/failure-detector.ts';
import { Membership } from '../membership/membership.ts';
import type { NodeLog } from '../observability/log.ts';
import type { Node } from '../rpc/node.ts';
import { Outbound } from '../rpc/outbound.ts';
import type { PendingCall } from '../rpc/pending-call.ts';
import { RootCaller } from '../rpc/root-caller.ts';
import type { GrainStore } from '../storage/grain-store.ts';
import type { Activation } from './activation.ts';
import type { ActivationServices } from './activation-services.ts';
import { Catalog } from './catalog.ts';
import { Collector } from './collector.ts';
import { DeadlockDetector } from './deadlock-detector.ts';
import { Dispatcher } from './dispatcher.ts';
import { Placer } from './placer.ts';
import { OwnTurns } from './own-turn.ts';
import { answerPlainCall } from './plain-door.ts';
import { RunningCalls } from './running-calls.ts';
import { TurnGate } from './turn-gate.ts';
import { Workers } from './workers.ts';

export interface SiloRuntimeOptions {
  readonly incarnation: number;
  readonly types: ReadonlyMap<string, GrainType>;
  readonly stores: ReadonlyMap<string, GrainStore>;
  readonly partitions: number;
  readonly replicas: number;
  readonly idleMs: number;
  readonly drainMs: number;
  readonly callTimeoutMs: number;
  readonly detection: DetectionTimes;
  readonly log: NodeLog;
}

/** How long a silo that joins waits for the others to hand over its share. */
const START_MS = 30_000;

/** All parts of one running silo, put together. */
export class SiloRuntime {
  readonly options: SiloRuntimeOptions;
  readonly node: Node;
  readonly membership: Membership;
  readonly directory: Directory;
  readonly outbound: Outbound;
  readonly catalog: Catalog;
  readonly workers: Workers;
  readonly groups: SiloGroups;
  readonly root: RootCaller;
  readonly dispatcher: Dispatcher;
  readonly #collector: Collector;
  /** Activations that have lost against another, and where that is. */
  readonly #losers = new WeakMap<Activation, NodeAddress>();
  readonly #deadlocks: DeadlockDetector;
  readonly #gate: TurnGate;
  #emptied: (() => void) | undefined;

  private constructor(options: SiloRuntimeOptions, node: Node) {
    const { incarnation, types, partitions, detection: times, callTimeoutMs, replicas, idleMs } = options;
    const { address, clock, random, events, control, endpoint } = node;
    this.options = options;
    this.node = node;
    const identity = { name: nodeName(address), incarnation, types: [...types.keys()], partitions };
    const doors = { clock, events, control };
    this.membership = new Membership({ ...identity, ...doors, times, endpoint });
    const { membership } = this;
    const local = this.#localActivations();
    // Before `outbound`, so that it enters an era first: then the calls come that waited for that.
    this.directory = new Directory({ ...doors, membership, replicas, local, load: () => this.catalog.size });
    const deliver = (call: PendingCall, now: number) => this.dispatcher.dispatch(call, now);
    this.outbound = new Outbound({ node, cluster: membership, callTimeoutMs, deliver });
    this.#gate = new TurnGate(clock, (now) => membership.checkAway(now) || !this.directory.ready);
    const services = this.#services();
    this.catalog = new Catalog(partitions, services);
    this.workers = new Workers(services, (worker) => this.#collector.add(worker));
    this.groups = new SiloGroups({ clock, control, directory: this.directory, membership });
    this.root = new RootCaller(this.outbound, types.values());
    const shortestIdleMs = Math.min(...[...types.values()].map((type) => type.idleMs ?? idleMs));
    this.#collector = new Collector({ clock, idleMs }, shortestIdleMs);
    this.dispatcher = new Dispatcher({
      ...{ node, outbound: this.outbound, directory: this.directory, collector: this.#collector },
      ...{ catalog: this.catalog, workers: this.workers },
      placer: new Placer(address, this.directory, random),
      grainType: (name) => types.get(name),
    });
    this.#deadlocks = new DeadlockDetector(node, this.outbound, local.find);
    this.#connect();
  }

  /** What comes from the network, and from the directory, goes to its part. */
  #connect(): void {
    const { node, dispatcher, outbound, directory, membership } = this;
    // After the directory, which began to listen before.
    membership.onEra((_era, departed) => dispatcher.enterEra(departed));
    directory.onReady = () => this.#gate.open();
    node.onUndeliverable = (to, ticket) => {
      outbound.undeliverable(to, ticket);
      dispatcher.undeliverable(to, ticket);
    };
    node.onConnection = (connected) => membership.connectionChanged(connected);
    node.onPlainCall = (call) =>
      answerPlainCall(call, this.root, this.options.types, node.endpoint.maxPayloadBytes);
    node.link.onItem = (from, item) => {
      if (!dispatcher.received(from, item)) outbound.received(from, item);
    };
  }

  #localActivations(): LocalActivations & { find(id: GrainId): Activation | undefined } {
    const find = (id: GrainId) => this.catalog.find(this.directory.partitionOf(id), id);
    return {
      find,
      inPartition: (partition) => this.catalog.inPartition(partition),
      yield: (id, activationId, winner) => {
        const activation = find(id);
        if (activation?.activationId !== activationId) return;
        this.#losers.set(activation, winner);
        activation.deactivate('conflict');
      },
      prevail: (id) => find(id)?.doubt(),
    };
  }

  /** Joins the cluster, and resolves when this silo may decide for its share of it. */
  static async start(options: SiloRuntimeOptions, node: Node): Promise<SiloRuntime> {
    const runtime = new SiloRuntime(options, node);
    try {
      await runtime.membership.join();
      if (!(await runtime.#hasHeardAll(START_MS))) {
        const text = `silo ${node.address} did not hear from all silos of the cluster in ${START_MS} ms`;
        throw new SiloUnavailableError(text);
      }
      const { replacedBy } = runtime.membership;
      if (replacedBy) {
        const text = `${replacedBy} was started at the same time; give each silo a name of its own`;
        throw new InvalidConfigError(text);
      }
    } catch (error) {
      await runtime.halt();
      throw error;
    }
    return runtime;
  }

  /** Resolves to true when this silo has heard everybody in the present era, to false after `timeoutMs`. */
  #hasHeardAll(timeoutMs: number): Promise<boolean> {
    if (this.directory.hasHeardAll) return Promise.resolve(true);
    return new Promise((resolve) => {
      const done = (heard: boolean) => {
        stop();
        timer.cancel();
        resolve(heard);
      };
      const stop = this.node.events.subscribe(() => done(true), ['eraSettled']);
      const timer = this.node.clock.after(timeoutMs, () => done(false));
    });
  }

  /**
   * Ends every activation after the turns that run; resolves when none is left, or after `drainMs`. True when
   * none is left.
   */
  async drain(): Promise<boolean> {
    const { drainMs } = this.options;
    const { clock, events } = this.node;
    for (const activation of [...this.catalog.all()]) activation.deactivate('shutdown');
    this.workers.endIdle();
    if (this.#isEmpty()) return true;
    // Turns that run may still need workers, also new ones.
    const stop = events.subscribe(() => clock.defer(() => this.workers.endIdle()), ['turnEnded']);
    return new Promise((resolve) => {
      const done = (empty: boolean) => {
        stop();
        timer.cancel();
        resolve(empty);
      };
      const timer = clock.after(drainMs, () => done(false));
      this.#emptied = () => done(true);
    });
  }

  /** Leaves in order: hands over what it holds, then goes. */
  async stop(): Promise<boolean> {
    this.membership.leave();
    await this.#hasHeardAll(this.options.drainMs);
    const drained = await this.drain();
    this.membership.left();
    this.#stopParts();
    this.node.link.flushNow();
    await this.node.endpoint.flush().catch(() => {}); // without a connection there is nobody to tell
    await this.node.close();
    this.dispatcher.stop();
    this.outbound.stop();
    return drained;
  }

  /** Ends at once, without a word to anybody. */
  async halt(): Promise<void> {
    this.node.link.stopListening(); // it would activate grains anew that others have by now
    this.membership.stop();
    this.#stopParts();
    for (const activation of [...this.catalog.all(), ...this.workers.all()]) activation.abandon();
    this.dispatcher.stop();
    this.outbound.stop();
    await this.node.close();
  }

  #stopParts(): void {
    this.directory.stop();
    this.groups.stop();
    this.#collector.stop();
  }

  #isEmpty(): boolean {
    return this.catalog.size === 0 && this.workers.all().next().done === true;
  }

  #services(): ActivationServices {
    const { stores, log, types } = this.options;
    const { clock, random, events, address } = this.node;
    return {
      ...{ siloName: nodeName(address), clock, random, events, stores, log, outbound: this.outbound },
      running: new RunningCalls(),
      ownTurns: new OwnTurns(address),
      grainType: (name) => types.get(name),
      mayTakeTurn: (activation, now) => this.#gate.mayTakeTurn(activation, now),
      returns: () => this.directory.returns,
      blocked: (activation, call) => this.#deadlocks.blocked(activation, call),
      gone: (activation, waiting) => {
        this.catalog.remove(activation);
        this.workers.remove(activation);
        if (activation.type.workers === undefined) {
          this.directory.gone(activation.partition, activation, this.#losers.get(activation));
        }
        for (const call of waiting) this.dispatcher.dispatch(call);
        if (this.#emptied && this.#isEmpty()) this.#emptied();
      },
    };
  }
}
