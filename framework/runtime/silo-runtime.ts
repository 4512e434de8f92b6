import type { Logger } from 'pino';
import { Directory } from '../directory/directory.ts';
import { SiloGroups } from '../directory/silo-groups.ts';
import type { GrainType } from '../grain/grain-type.ts';
import { type NodeAddress, nodeName } from '../identity/silo-address.ts';
import type { DetectionTimes } from '../membership/failure-detector.ts';
import { Membership } from '../membership/membership.ts';
import { ControlChannel } from '../messaging/control-channel.ts';
import type { RuntimeEvents } from '../observability/events.ts';
import { DataLink } from '../rpc/data-link.ts';
import { Outbound } from '../rpc/outbound.ts';
import { RootCaller } from '../rpc/root-caller.ts';
import type { GrainStore } from '../storage/grain-store.ts';
import type { Clock } from '../system/clock.ts';
import type { Random } from '../system/random.ts';
import type { Endpoint, PlainCall, Receiver, Transport } from '../transport/transport.ts';
import type { Activation, ActivationServices } from './activation.ts';
import { Catalog } from './catalog.ts';
import { Collector } from './collector.ts';
import { Dispatcher } from './dispatcher.ts';
import { Placer } from './placer.ts';
import { answerPlainCall } from './plain-door.ts';
import { Workers } from './workers.ts';

export interface SiloRuntimeOptions {
  readonly cluster: string;
  readonly address: NodeAddress;
  readonly incarnation: number;
  readonly types: ReadonlyMap<string, GrainType>;
  readonly stores: ReadonlyMap<string, GrainStore>;
  readonly partitions: number;
  readonly replicas: number;
  readonly idleMs: number;
  readonly drainMs: number;
  readonly callTimeoutMs: number;
  readonly detection: DetectionTimes;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: RuntimeEvents;
  readonly log: Logger;
}

/** All parts of one running silo, put together. */
export class SiloRuntime {
  readonly options: SiloRuntimeOptions;
  readonly endpoint: Endpoint;
  readonly control: ControlChannel;
  readonly link: DataLink;
  readonly membership: Membership;
  readonly directory: Directory;
  readonly outbound: Outbound;
  readonly catalog: Catalog;
  readonly workers: Workers;
  readonly groups: SiloGroups;
  readonly root: RootCaller;
  readonly dispatcher: Dispatcher;
  readonly #collector: Collector;
  /** Activations that want a turn while the silo may take none. */
  readonly #gated = new Set<Activation>();
  #emptied: (() => void) | undefined;

  private constructor(
    options: SiloRuntimeOptions,
    endpoint: Endpoint,
    control: ControlChannel,
    link: DataLink,
  ) {
    const { clock, random, events, partitions } = options;
    const self = options.address;
    this.options = options;
    this.endpoint = endpoint;
    this.control = control;
    this.link = link;
    this.membership = new Membership({
      ...{
        name: nodeName(self),
        incarnation: options.incarnation,
        types: [...options.types.keys()],
        partitions,
      },
      ...{ times: options.detection, clock, events, control, endpoint },
    });
    this.outbound = new Outbound({
      ...{
        self,
        clock,
        random,
        events,
        link,
        cluster: this.membership,
        callTimeoutMs: options.callTimeoutMs,
      },
      deliver: (call) => this.dispatcher.dispatch(call),
    });
    const services = this.#services();
    this.catalog = new Catalog(partitions, services);
    this.workers = new Workers(services);
    this.directory = new Directory({
      ...{ clock, events, control, membership: this.membership, replicas: options.replicas },
      load: () => this.catalog.size,
      local: {
        inPartition: (partition) => this.catalog.inPartition(partition),
        find: (id) => this.catalog.find(this.directory.partitionOf(id), id),
        yield: (id, activationId) => {
          const activation = this.catalog.find(this.directory.partitionOf(id), id);
          if (activation?.activationId === activationId) activation.deactivate('conflict');
        },
        prevail: (id) => this.catalog.find(this.directory.partitionOf(id), id)?.recheck(),
      },
    });
    this.directory.onReady = () => this.#openGate();
    this.groups = new SiloGroups({ clock, control, directory: this.directory, membership: this.membership });
    this.root = new RootCaller(this.outbound, options.types.values());
    const shortest = [...options.types.values()].map((type) => type.idleMs ?? options.idleMs);
    this.#collector = new Collector({ clock, idleMs: options.idleMs }, Math.min(...shortest));
    this.dispatcher = new Dispatcher({
      ...{ self, clock, events, control, link, outbound: this.outbound, directory: this.directory },
      ...{ catalog: this.catalog, workers: this.workers, collector: this.#collector },
      placer: new Placer(self, this.directory, random),
      grainType: (name) => options.types.get(name),
    });
  }

  /** Connects, joins the cluster, and resolves when this silo may decide for its share of it. */
  static async start(options: SiloRuntimeOptions): Promise<SiloRuntime> {
    const { clock, events, address } = options;
    const control = new ControlChannel(address, clock, events);
    const link = new DataLink(address, clock, events);
    let runtime: SiloRuntime | undefined;
    const receiver: Receiver = {
      received: (lane, payload) => (lane === 'data' ? link.receive(payload) : control.receive(payload)),
      undeliverable(lane, to, ticket) {
        if (lane === 'control') control.undeliverable(to, ticket);
        else if (to) runtime?.outbound.undeliverable(to, ticket);
      },
      connectionChanged(connected) {
        events.publish({ type: 'connectionChanged', connected });
        runtime?.membership.connectionChanged(connected);
      },
      plainCall: (call) => runtime?.plainCall(call),
    };
    const endpoint = await options.transport.open({ cluster: options.cluster, address, receiver });
    control.attach(endpoint);
    link.attach(endpoint);
    runtime = new SiloRuntime(options, endpoint, control, link);
    const { membership } = runtime;
    link.onItem = (from, item) => {
      if (membership.checkAway(clock.now())) void 0; // what arrives waits in mailboxes until this silo knows what it missed
      if (!runtime.dispatcher.received(from, item)) runtime.outbound.received(from, item);
    };
    try {
      await membership.join();
      await runtime.whenSettled();
    } catch (error) {
      await runtime.halt();
      throw error;
    }
    return runtime;
  }

  /** Resolves when this silo has heard everybody in the present era. */
  whenSettled(): Promise<void> {
    if (this.directory.settled) return Promise.resolve();
    return new Promise((resolve) => {
      const stop = this.options.events.subscribeRare((event) => {
        if (event.type !== 'eraSettled') return;
        stop();
        resolve(undefined);
      });
    });
  }

  plainCall(call: PlainCall): void {
    answerPlainCall(call, this.root, this.options.types);
  }

  /**
   * Ends every activation after the turns that run; resolves when none is left, or after `drainMs`. True when
   * none is left.
   */
  async drain(): Promise<boolean> {
    const { clock, drainMs } = this.options;
    for (const activation of [...this.catalog.all(), ...this.workers.all()])
      activation.deactivate('shutdown');
    if (this.#isEmpty()) return true;
    return new Promise((resolve) => {
      const timer = clock.after(drainMs, () => resolve(false));
      this.#emptied = () => {
        timer.cancel();
        resolve(true);
      };
    });
  }

  /** Leaves in order: hands over what it holds, then goes. */
  async stop(): Promise<boolean> {
    this.membership.leave();
    await this.whenSettled();
    const drained = await this.drain();
    this.membership.left();
    this.#stopParts();
    this.link.flushNow();
    await this.endpoint.flush().catch(() => {}); // without a connection there is nobody to tell
    await this.endpoint.close();
    this.#closeParts();
    return drained;
  }

  /** Ends at once, without a word to anybody. */
  async halt(): Promise<void> {
    this.membership.stop();
    this.#stopParts();
    for (const activation of [...this.catalog.all(), ...this.workers.all()]) activation.abandon();
    this.#closeParts();
    await this.endpoint.close();
  }

  #stopParts(): void {
    this.directory.stop();
    this.groups.stop();
    this.#collector.stop();
  }

  #closeParts(): void {
    this.outbound.stop();
    this.link.close();
    this.control.close();
  }

  #isEmpty(): boolean {
    return this.catalog.size === 0 && this.workers.all().next().done === true;
  }

  #services(): ActivationServices {
    const { clock, random, events, stores, log, types, address } = this.options;
    return {
      ...{ siloName: nodeName(address), clock, random, events, stores, log, outbound: this.outbound },
      grainType: (name) => types.get(name),
      mayTakeTurn: (activation, now) => {
        if (!this.membership.checkAway(now) && this.directory.ready) return true;
        this.#gated.add(activation);
        return false;
      },
      epoch: () => this.membership.epoch,
      gone: (activation, waiting) => {
        this.catalog.remove(activation);
        this.workers.remove(activation);
        if (activation.type.workers === undefined) this.directory.gone(activation.partition, activation);
        for (const call of waiting) this.dispatcher.dispatch(call);
        if (this.#emptied && this.#isEmpty()) this.#emptied();
      },
    };
  }

  #openGate(): void {
    const gated = [...this.#gated];
    this.#gated.clear();
    for (const activation of gated) activation.pump();
  }
}
