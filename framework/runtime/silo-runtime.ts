import { Directory } from '../directory/directory.ts';
import type { LocalActivations } from '../directory/local-activations.ts';
import { SiloGroups } from '../directory/silo-groups.ts';
import { InvalidConfigError, SiloUnavailableError } from '../errors.ts';
import type { GrainType } from '../grain/grain-type.ts';
import type { Interceptors } from '../grain/interceptors.ts';
import type { GrainId } from '../identity/grain-id.ts';
import { hasAll, type Labels } from '../identity/labels.ts';
import { type NodeAddress, nodeName } from '../identity/silo-address.ts';
import type { DetectionTimes } from '../membership/failure-detector.ts';
import { Membership } from '../membership/membership.ts';
import type { NodeLog } from '../observability/log.ts';
import { areReminded, remindable } from '../reminders/in-use.ts';
import { ReminderDesk } from '../reminders/reminder-desk.ts';
import type { CallsOut } from '../rpc/calls-out.ts';
import { past } from '../rpc/intercepted-calls.ts';
import type { Node } from '../rpc/node.ts';
import { Outbound } from '../rpc/outbound.ts';
import type { PendingCall } from '../rpc/pending-call.ts';
import { RootCaller } from '../rpc/root-caller.ts';
import type { GrainStore } from '../storage/grain-store.ts';
import type { ReminderStore } from '../storage/reminder-store.ts';
import type { EventLogSession } from '../topics/event-log.ts';
import { SiloTopics, topicMarks } from '../topics/silo-topics.ts';
import type { Activation } from './activation.ts';
import type { ActivationServices } from './activation-services.ts';
import { Catalog } from './catalog.ts';
import { Collector } from './collector.ts';
import { DeadlockDetector } from './deadlock-detector.ts';
import { Dispatcher } from './dispatcher.ts';
import { Evacuation } from './evacuation.ts';
import { incomingChains } from './guarded-calls.ts';
import { Homecoming } from './homecoming.ts';
import { ObservedObjects } from './observed.ts';
import { OwnTurns } from './own-turn.ts';
import { Placer } from './placer.ts';
import { answerPlainCall } from './plain-door.ts';
import { RunningCalls } from './running-calls.ts';
import { TurnGate } from './turn-gate.ts';
import { Workers } from './workers.ts';

export interface SiloRuntimeOptions {
  readonly incarnation: number;
  readonly types: ReadonlyMap<string, GrainType>;
  readonly labels: Labels;
  readonly stores: ReadonlyMap<string, GrainStore>;
  readonly reminders: ReminderStore | undefined;
  readonly partitions: number;
  readonly replicas: number;
  readonly idleMs: number;
  readonly drainMs: number;
  readonly homecomingsPerSecond: number;
  readonly callTimeoutMs: number;
  readonly interceptors: Interceptors;
  readonly detection: DetectionTimes;
  readonly session: EventLogSession | undefined;
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
  readonly reminders: ReminderDesk;
  readonly root: RootCaller;
  readonly observed: ObservedObjects;
  readonly topics: SiloTopics;
  readonly dispatcher: Dispatcher;
  readonly #callsOut: CallsOut;
  readonly #collector: Collector;
  readonly #placer: Placer;
  /** Activations that have lost against another, and where that is. */
  readonly #losers = new WeakMap<Activation, NodeAddress>();
  readonly #deadlocks: DeadlockDetector;
  readonly #gate: TurnGate;
  readonly #evacuation: Evacuation;
  readonly #homecoming: Homecoming;

  private constructor(options: SiloRuntimeOptions, node: Node) {
    const { incarnation, types, partitions, detection: times, callTimeoutMs, replicas, idleMs } = options;
    const { address, clock, random, events, control, endpoint } = node;
    this.options = options;
    this.node = node;
    const { labels } = options;
    // A class whose labels this silo lacks counts as one that it does not have: nobody places it here.
    const placeable = [...types.values()].filter(({ requires = {} }) => hasAll(labels, requires));
    const names = [...placeable.map(({ name }) => name), ...topicMarks(placeable)];
    const identity = {
      name: nodeName(address),
      incarnation,
      types: remindable(names, types),
      labels,
      partitions,
    };
    const doors = { clock, events, control };
    this.membership = new Membership({ ...identity, ...doors, times, endpoint });
    const { membership } = this;
    const local = this.#localActivations();
    // Before `outbound`, so that it enters an era first: then the calls come that waited for that.
    this.directory = new Directory({ ...doors, membership, replicas, local, load: () => this.catalog.size });
    const deliver = (call: PendingCall, now: number) => this.dispatcher.dispatch(call, now);
    this.outbound = new Outbound({ node, cluster: membership, callTimeoutMs, deliver });
    this.#gate = new TurnGate(clock, (now) => membership.checkAway(now) || !this.directory.ready);
    this.#placer = new Placer(address, this.directory, random);
    this.#callsOut = past(options.interceptors.outgoing, this.outbound);
    const { directory } = this;
    this.reminders = new ReminderDesk(node, directory, options.reminders);
    const services = this.#services();
    this.catalog = new Catalog(partitions, services);
    this.workers = new Workers(services, (worker) => this.#collector.add(worker));
    this.groups = new SiloGroups({ clock, control, directory: this.directory, membership });
    this.root = new RootCaller(this.#callsOut, types.values());
    this.reminders.begin({ events, caller: this.root, types, inUse: () => areReminded(membership.view) });
    this.observed = new ObservedObjects(node, this.root);
    this.topics = this.#makeTopics(placeable);
    const shortestIdleMs = Math.min(...[...types.values()].map((type) => type.idleMs ?? idleMs));
    this.#collector = new Collector({ clock, idleMs }, shortestIdleMs);
    this.dispatcher = new Dispatcher({
      ...{ node, outbound: this.outbound, directory: this.directory, collector: this.#collector },
      ...{ catalog: this.catalog, workers: this.workers, observed: this.observed },
      placer: this.#placer,
      grainType: (name) => types.get(name),
      winnerOver: (activation) => this.#losers.get(activation),
    });
    const { catalog, workers } = this;
    const { drainMs, homecomingsPerSecond: perSecond } = options;
    const { moves } = this.dispatcher;
    this.#evacuation = new Evacuation({ clock, events, directory, catalog, workers, moves, drainMs });
    this.#homecoming = new Homecoming({ clock, events, directory, catalog, placer: this.#placer, perSecond });
    this.#deadlocks = new DeadlockDetector(node, this.outbound, local.find);
    this.#connect();
  }

  #makeTopics(types: readonly GrainType[]): SiloTopics {
    const { node, directory, root: caller } = this;
    const { session, callTimeoutMs } = this.options;
    return new SiloTopics({ node, directory, caller, types, session, callTimeoutMs });
  }

  /** What comes from the network, and from the directory, goes to its part. */
  #connect(): void {
    const { node, dispatcher, outbound, directory, membership } = this;
    // After the directory, which began to listen before.
    membership.onEra((_era, departed) => dispatcher.enterEra(departed));
    directory.onReady = () => this.#gate.open();
    const { listeners } = this.catalog;
    if ([...this.options.types.values()].some(({ hears }) => hears)) {
      this.observed.serve({ hear: (topic: unknown, args: unknown) => listeners.hear(node, topic, args) });
    }
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
        this.dispatcher.moves.wake(activation);
      },
      prevail: (id) => find(id)?.doubt(),
    };
  }

  /** Joins the cluster, and resolves when this silo may decide for its share of it. */
  static async start(options: SiloRuntimeOptions, node: Node): Promise<SiloRuntime> {
    const runtime = new SiloRuntime(options, node);
    try {
      await runtime.topics.prepare();
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
      runtime.topics.start();
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
   * Leaves the ring, and hands over what it holds; still passes calls on. True when nothing is left, false
   * when turns ran for longer than `drainMs`.
   */
  async drain(): Promise<boolean> {
    // First, or those that own the reminders then would make these ticks, too.
    await this.reminders.finish(this.options.drainMs);
    if (this.membership.status === 'active') this.membership.leave();
    await this.#hasHeardAll(this.options.drainMs);
    return this.#evacuation.run();
  }

  /** Leaves in order: hands over what it holds, then goes. */
  async stop(): Promise<boolean> {
    const drained = await this.drain();
    await this.topics.stop();
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
    await this.topics.halt();
    await this.node.close();
  }

  #stopParts(): void {
    this.directory.stop();
    this.groups.stop();
    this.reminders.stop();
    this.observed.close();
    this.#collector.stop();
    this.#homecoming.stop();
  }

  #services(): ActivationServices {
    const { stores, log, types, interceptors } = this.options;
    const { clock, random, events, address } = this.node;
    return {
      ...{ siloName: nodeName(address), clock, random, events, stores, log, outbound: this.outbound },
      callsOut: this.#callsOut,
      incoming: incomingChains(interceptors.incoming, types.values()),
      running: new RunningCalls(),
      reminders: this.reminders,
      ownTurns: new OwnTurns(address),
      groups: () => this.groups,
      topics: () => this.topics,
      grainType: (name) => types.get(name),
      mayTakeTurn: (activation, now) => this.#gate.mayTakeTurn(activation, now),
      returns: () => this.directory.returns,
      blocked: (activation, call) => this.#deadlocks.blocked(activation, call),
      canBeOn: (silo, id) => this.#placer.find(silo, id) !== undefined,
      fetchLuggage: (luggage) => this.dispatcher.moves.fetch(luggage),
      depart: (activation) => void this.dispatcher.moves.depart(activation),
      gone: (activation, waiting) => {
        this.catalog.remove(activation);
        this.workers.remove(activation);
        const winner = this.#losers.get(activation);
        if (activation.type.workers === undefined) {
          this.directory.gone(activation.partition, activation, winner);
        }
        for (const call of waiting) this.dispatcher.dispatch(call);
        this.#evacuation.lookAgain();
      },
    };
  }
}
