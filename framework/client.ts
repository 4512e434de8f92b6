import { InvalidConfigError } from './errors.ts';
import type { Grain, GrainClass } from './grain/grain.ts';
import type { OutgoingInterceptor } from './grain/interceptors.ts';
import type { Observation } from './grain/observer-types.ts';
import type { GrainRef } from './grain/reference-types.ts';
import type { GrainKey } from './identity/grain-id.ts';
import { type NodeAddress, nodeAddress } from './identity/silo-address.ts';
import { ViewFollower } from './membership/view-follower.ts';
import { RuntimeEvents, type RuntimeEventType, type RuntimeListener } from './observability/events.ts';
import { logEvents, NodeLog } from './observability/log.ts';
import { ITEM } from './rpc/frames.ts';
import { past } from './rpc/intercepted-calls.ts';
import { Node } from './rpc/node.ts';
import { Outbound } from './rpc/outbound.ts';
import { RootCaller } from './rpc/root-caller.ts';
import { ObservedObjects } from './runtime/observed.ts';
import { checkClientOptions, eventLogOf, type NodeOptions } from './silo-options.ts';
import { systemClock } from './system/clock.ts';
import { systemRandom } from './system/random.ts';
import { ClientTopics } from './topics/client-topics.ts';
import type { EventLogSession } from './topics/event-log.ts';
import type { Transport } from './transport/transport.ts';

export interface ClientOptions extends NodeOptions {
  /** The network; the same as the silos'. */
  readonly transport: Transport;
}

/** How often a client asks for the view, in case it missed news. */
const REFRESH_MS = 5_000;
/** Partitions until the first silo has told how many there are. */
const PARTITIONS = 1_024;

/** Calls grains from outside of the cluster: holds no activations, and is no part of the ring. */
export class Client {
  readonly #node: Node;
  readonly #cluster: ViewFollower;
  readonly #outbound: Outbound;
  readonly #root: RootCaller;
  readonly #observed: ObservedObjects;
  #topics: ClientTopics | undefined;
  #closing: Promise<void> | undefined;

  private constructor(node: Node, callTimeoutMs: number, interceptors: readonly OutgoingInterceptor[]) {
    const { clock, control, link } = node;
    const cluster = new ViewFollower({ partitions: PARTITIONS, refreshMs: REFRESH_MS, clock, control });
    const outbound = new Outbound({ node, cluster, callTimeoutMs });
    this.#node = node;
    this.#cluster = cluster;
    this.#outbound = outbound;
    this.#root = new RootCaller(past(interceptors, outbound));
    this.#observed = new ObservedObjects(node, this.#root);
    control.onUndeliverable = (to) => cluster.suspect(to);
    link.onItem = (from, item) => {
      if (item[0] === ITEM.call || item[0] === ITEM.cancel) this.#observed.received(from, item);
      else outbound.received(from, item);
    };
    node.onUndeliverable = (to, ticket) => outbound.undeliverable(to, ticket);
    node.onConnection = (connected) => {
      if (connected) void cluster.refresh();
    };
  }

  /**
   * Connects to a cluster's network. Silos need not be running: calls wait for one until their deadline.
   * Rejects with `InvalidConfigError`, or `SiloUnavailableError` when the network cannot be reached.
   */
  static async connect(options: ClientOptions): Promise<Client> {
    const { cluster: clusterName, callTimeoutMs, interceptors } = checkClientOptions(options);
    if (typeof options.transport?.open !== 'function') {
      throw new InvalidConfigError(
        'Client.connect: transport is missing; pass the same as the silos have, nats({ servers }) say',
      );
    }
    const clock = options.clock ?? systemClock;
    const random = options.random ?? systemRandom;
    const address = nodeAddress(`client-${random.id().slice(0, 8)}`, clock.wallNow());
    const events = new RuntimeEvents();
    if (options.onEvent) events.subscribe(options.onEvent);
    logEvents(events, new NodeLog(options.log, { client: address }));
    const doors = { clock, random, transport: options.transport };
    const client = new Client(
      await Node.open(clusterName, address, doors, events),
      callTimeoutMs,
      interceptors.outgoing,
    );
    try {
      const session = await eventLogOf(options)?.open({ cluster: clusterName, clock });
      client.#openTopics(session, callTimeoutMs);
    } catch (error) {
      await client.close();
      throw error;
    }
    await client.#cluster.refresh();
    return client;
  }

  /**
   * A typed reference to a grain. The class may be a type-only import: `client.grain<Counter>('Counter',
   * 'page')`.
   */
  grain<G extends Grain>(type: GrainClass<G> | string, key: GrainKey): GrainRef<G> {
    return this.#root.grain(type, key);
  }

  /**
   * Makes an object of this program callable for grains: pass the reference in calls, keep it in state. The
   * object's methods are what can be called, one call at a time. It lasts until `unobserve`, the end of its
   * block (`using`), or `close`. Throws `InvalidConfigError` when the object has no methods.
   */
  observe<T extends object>(object: T): Observation<T> {
    return this.#observed.observe(object);
  }

  /**
   * Calls of it fail with `ObserverGoneError` from now on; one that runs is still answered. False if it was
   * not observed here.
   */
  unobserve(observer: { readonly $id: string }): boolean {
    return this.#observed.unobserve(observer);
  }

  /**
   * Puts an event into a topic. Resolves to its number when the log has it. Rejects with `EventLogError` when
   * it has not said so after `callTimeoutMs`: then the log may have it, or not.
   */
  async publish(topic: string, key: GrainKey, event: unknown): Promise<number> {
    return (this.#topics as ClientTopics).publish(topic, key, event);
  }

  /**
   * Sends an event to those grains that hear broadcasts of the topic and are active now: at most once, in no
   * log. Resolves to the number of silos that it was sent to.
   */
  async broadcast(topic: string, event: unknown): Promise<number> {
    return (this.#topics as ClientTopics).broadcast(topic, event);
  }

  /** This client's address on the network. */
  get address(): NodeAddress {
    return this.#node.address;
  }

  /** Names of the silos, as far as this client knows. */
  get silos(): readonly string[] {
    return this.#cluster.era.ring.silos;
  }

  /**
   * Listens to what the client tells about itself: all of it, or events of some types, until the
   * returned function is called. Asking for rare types only costs nothing at each call.
   */
  subscribe(listener: RuntimeListener, types?: readonly RuntimeEventType[]): () => void {
    return this.#node.events.subscribe(listener, types);
  }

  /**
   * Disconnects. Calls that wait for an answer fail with `SiloUnavailableError`. May be called again; never
   * rejects.
   */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#cluster.stop();
      this.#outbound.stop();
      this.#observed.close();
      await this.#topics?.close();
      await this.#node.close();
    })();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #openTopics(session: EventLogSession | undefined, callTimeoutMs: number): void {
    const parts = { node: this.#node, cluster: this.#cluster, caller: this.#root };
    this.#topics = new ClientTopics({ ...parts, session, callTimeoutMs });
  }
}
