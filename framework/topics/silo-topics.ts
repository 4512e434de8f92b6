import type { Directory } from '../directory/directory.ts';
import { InvalidConfigError } from '../errors.ts';
import type { GrainType } from '../grain/grain-type.ts';
import type { Caller } from '../grain/reference.ts';
import type { ReplayFrom } from '../grain/subscribe-options.ts';
import type { GrainKey } from '../identity/grain-id.ts';
import type { Node } from '../rpc/node.ts';
import { Broadcaster, broadcastMarks } from './broadcasts.ts';
import { Duties, subscriberMarks, type TopicLag } from './duties.ts';
import type { EventLogSession } from './event-log.ts';
import { Publisher } from './publisher.ts';
import { type Subscriber, Subscriptions } from './subscriptions.ts';

export interface SiloTopicsOptions {
  readonly node: Node;
  readonly directory: Directory;
  readonly caller: Caller;
  /** Those that grains of can be on this silo. */
  readonly types: readonly GrainType[];
  /** Undefined: this silo has been given no log. */
  readonly session: EventLogSession | undefined;
  readonly callTimeoutMs: number;
}

interface Log {
  readonly session: EventLogSession;
  readonly publisher: Publisher;
  readonly subscriptions: Subscriptions;
  readonly duties: Duties;
}

/** What other silos know of the classes of one: which topics they subscribe to, and hear broadcasts of. */
export function topicMarks(types: readonly GrainType[]): string[] {
  return [...subscriberMarks(types), ...broadcastMarks(types)];
}

/** Everything that one silo has to do with topics. */
export class SiloTopics {
  readonly #options: SiloTopicsOptions;
  readonly #log: Log | undefined;
  readonly #broadcaster: Broadcaster;

  constructor(options: SiloTopicsOptions) {
    this.#options = options;
    const { node, directory, session, caller } = options;
    const { clock, random } = node;
    this.#broadcaster = new Broadcaster({ clock, cluster: directory, caller });
    if (!session) return;
    const publisher = new Publisher(session, { clock, random });
    const subscriptions = new Subscriptions({ clock, random, session, publisher });
    const { types } = options;
    const duties = new Duties({ node, directory, caller, types, session, publisher });
    this.#log = { session, publisher, subscriptions, duties };
  }

  /** The log; throws `InvalidConfigError` when there is none. */
  get log(): Log {
    if (this.#log) return this.#log;
    throw new InvalidConfigError(
      'this silo has no log of events; pass one: ' +
        "Silo.start({ topics: jetStream({ servers }) }), with jetStream from 'granary/nats'",
    );
  }

  get caller(): Caller {
    return this.#options.caller;
  }

  // ---- life

  /** Before the silo joins: makes topics, and notes where their subscribers begin. */
  async prepare(): Promise<void> {
    await this.#log?.duties.prepare();
  }

  /** When the silo has joined. */
  start(): void {
    this.#log?.duties.start();
  }

  /** Hands its duties over. Never rejects. */
  async stop(): Promise<void> {
    await this.#log?.duties.stop();
    this.#log?.publisher.stop();
    await this.#log?.session.close();
  }

  /** Ends at once. */
  async halt(): Promise<void> {
    this.#log?.duties.halt();
    this.#log?.publisher.stop();
    await this.#log?.session.close();
  }

  // ---- what grains and programs ask; deadlines are on this node's clock

  async publish(topic: string, key: GrainKey, event: unknown, deadline: number): Promise<number> {
    return this.log.publisher.publish(topic, key, event, this.#by(deadline));
  }

  broadcast(topic: string, event: unknown): Promise<number> {
    return this.#broadcaster.broadcast(topic, event);
  }

  async subscribe(
    subscriber: Subscriber,
    topic: string,
    key: GrainKey,
    from: ReplayFrom,
    deadline: number,
  ): Promise<void> {
    return this.log.subscriptions.subscribe(subscriber, topic, key, from, this.#by(deadline));
  }

  async unsubscribe(subscriber: Subscriber, topic: string, key: GrainKey, deadline: number): Promise<void> {
    return this.log.subscriptions.unsubscribe(subscriber, topic, key, this.#by(deadline));
  }

  async lag(): Promise<TopicLag[]> {
    return this.log.duties.lag();
  }

  #by(deadline: number): number {
    const { node, callTimeoutMs } = this.#options;
    return Math.min(deadline, node.clock.now() + callTimeoutMs);
  }
}
