import { memory } from '../persistence/memory.ts';
import type { Grain, GrainClass } from './grain/grain.ts';
import type { Groups } from './grain/groups.ts';
import type { Observation } from './grain/observer-types.ts';
import type { GrainRef } from './grain/reference-types.ts';
import type { GrainKey } from './identity/grain-id.ts';
import { nodeAddress } from './identity/silo-address.ts';
import { RuntimeEvents, type RuntimeEventType, type RuntimeListener } from './observability/events.ts';
import { logEvents, NodeLog } from './observability/log.ts';
import { Node } from './rpc/node.ts';
import { BoundGroups } from './runtime/bound-groups.ts';
import { SiloRuntime } from './runtime/silo-runtime.ts';
import { checkSiloOptions, eventLogOf, type SiloOptions } from './silo-options.ts';
import type { GrainStore } from './storage/grain-store.ts';
import { isReminderStore, type ReminderStore } from './storage/reminder-store.ts';
import { systemClock } from './system/clock.ts';
import { systemRandom } from './system/random.ts';
import type { EventLogSession } from './topics/event-log.ts';
import { type Topics, topicsOf } from './topics/topics.ts';
import { inProcess } from './transport/in-process.ts';

type OpenStore = GrainStore | ReminderStore | EventLogSession;

const runtimes = new WeakMap<Silo, SiloRuntime>();

/** The parts of a silo, for the test cluster. */
export function runtimeOf(silo: Silo): SiloRuntime {
  return runtimes.get(silo) as SiloRuntime;
}

/**
 * A process's part in a cluster: it holds activations and runs their turns.
 *
 * Without a transport it is a cluster of its own; with the same transport and cluster name, silos find each
 * other.
 */
export class Silo {
  readonly name: string;
  readonly #stores: readonly OpenStore[];
  #stopping: Promise<void> | undefined;

  /** Process groups of grains. */
  readonly groups: Groups;
  /** What topics have, and how far their subscribers are behind. */
  readonly topics: Topics;

  private constructor(name: string, runtime: SiloRuntime, stores: readonly OpenStore[]) {
    this.name = name;
    this.#stores = stores;
    this.groups = new BoundGroups(runtime.groups, runtime.root);
    this.topics = topicsOf(runtime.topics);
    runtimes.set(this, runtime);
  }

  /**
   * Starts a silo: opens its stores, joins the cluster, and resolves when it takes calls. Rejects with
   * `InvalidConfigError` (a class or an option is wrong, or the cluster refuses this silo), `StoreError` or
   * `SiloUnavailableError`.
   */
  static async start(options: SiloOptions): Promise<Silo> {
    const checked = checkSiloOptions(options);
    const clock = options.clock ?? systemClock;
    const random = options.random ?? systemRandom;
    const name = checked.name ?? `silo-${random.id().slice(0, 8)}`;
    const stores = new Map(
      Object.entries({ ...(checked.stores.default ? {} : { default: memory() }), ...checked.stores }),
    );
    const main = stores.get('default');
    const reminders = checked.reminders ?? (isReminderStore(main) ? main : undefined);
    const incarnation = clock.wallNow();
    const address = nodeAddress(name, incarnation);
    const events = new RuntimeEvents();
    if (options.onEvent) events.subscribe(options.onEvent);
    const log = new NodeLog(options.log, { silo: name });
    logEvents(events, log);
    const opened: OpenStore[] = [];
    try {
      for (const store of new Set([...stores.values(), ...(reminders ? [reminders] : [])])) {
        await store.open();
        opened.push(store);
      }
      const doors = { clock, random, transport: options.transport ?? inProcess() };
      const session = await eventLogOf(options)?.open({ cluster: checked.cluster, clock });
      if (session) opened.push(session);
      const node = await Node.open(checked.cluster, address, doors, events);
      const runtime = await SiloRuntime.start(
        { ...checked, incarnation, stores, reminders, session, log },
        node,
      );
      const silo = new Silo(name, runtime, opened);
      runtime.membership.onReplaced = (by) => {
        events.publish({ type: 'siloReplaced', silo: address, by });
        silo.#stopping ??= silo.#end(() => runtime.halt());
      };
      events.publish({ type: 'siloStarted', silo: address });
      return silo;
    } catch (error) {
      await Promise.allSettled(opened.map((store) => store.close()));
      throw error;
    }
  }

  /** A typed reference to a grain. */
  grain<G extends Grain>(type: GrainClass<G> | string, key: GrainKey): GrainRef<G> {
    return runtimeOf(this).root.grain(type, key);
  }

  /**
   * Makes an object of the program that this silo is embedded in callable for grains, as `Client.observe`
   * does. It lasts until `unobserve`, the end of its block (`using`), or `stop`.
   */
  observe<T extends object>(object: T): Observation<T> {
    return runtimeOf(this).observed.observe(object);
  }

  /** Calls of it fail with `ObserverGoneError` from now on. False if it was not observed here. */
  unobserve(observer: { readonly $id: string }): boolean {
    return runtimeOf(this).observed.unobserve(observer);
  }

  /**
   * Puts an event into a topic. Resolves to its number when the log has it. Rejects with `EventLogError` when
   * it has not said so after `callTimeoutMs`: then the log may have it, or not.
   */
  publish(topic: string, key: GrainKey, event: unknown): Promise<number> {
    return runtimeOf(this).topics.publish(topic, key, event, Number.POSITIVE_INFINITY);
  }

  /**
   * Sends an event to those grains that hear broadcasts of the topic and are active now: at most once, in no
   * log. Resolves to the number of silos that it was sent to.
   */
  broadcast(topic: string, event: unknown): Promise<number> {
    return runtimeOf(this).topics.broadcast(topic, event);
  }

  /** Names of the silos that share the grains among them now. */
  get silos(): readonly string[] {
    return runtimeOf(this).membership.era.ring.silos;
  }

  /** Activations on this silo. */
  get activations(): number {
    return runtimeOf(this).catalog.size;
  }

  /**
   * Listens to what the runtime tells about itself: all of it, or events of some types, until the
   * returned function is called. Asking for rare types only costs nothing at each call.
   */
  subscribe(listener: RuntimeListener, types?: readonly RuntimeEventType[]): () => void {
    return runtimeOf(this).node.events.subscribe(listener, types);
  }

  /**
   * Cordons this silo off and empties it: it leaves the ring, so that it gets nothing new, and its
   * activations end or move to the others, with what they take along. It goes on passing calls on until it
   * is stopped, which is all that is left to do. Resolves to true when it is empty, to false when turns ran
   * for longer than `drainMs`; may be called again then.
   */
  drain(): Promise<boolean> {
    return runtimeOf(this).drain();
  }

  /**
   * Leaves the cluster in order: what runs ends, activations are handed over, then the silo goes. Turns that
   * take longer than `drainMs` are given up. May be called again; never rejects.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#end(async () => {
      const runtime = runtimeOf(this);
      const { log, drainMs } = runtime.options;
      const { events, address } = runtime.node;
      if (!(await runtime.stop())) {
        log.logger.warn({ drainMs }, 'the silo stopped before all its turns had ended');
      }
      events.publish({ type: 'siloStopped', silo: address });
    });
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #end(stop: () => Promise<void>): Promise<void> {
    const { log } = runtimeOf(this).options;
    try {
      await stop();
    } catch (error) {
      log.logger.error({ err: error }, 'the silo did not stop in order');
    }
    for (const closed of await Promise.allSettled(this.#stores.map((store) => store.close()))) {
      if (closed.status === 'rejected') {
        log.logger.error({ err: closed.reason }, 'a store did not close in order');
      }
    }
  }
}
