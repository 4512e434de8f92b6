import type { Directory } from '../directory/directory.ts';
import { EventLogError } from '../errors.ts';
import type { SubscriptionSpec } from '../grain/check-subscriptions.ts';
import type { GrainType } from '../grain/grain-type.ts';
import type { Caller } from '../grain/reference.ts';
import { type NodeAddress, nodeName } from '../identity/silo-address.ts';
import type { Node } from '../rpc/node.ts';
import { sleep } from '../system/clock.ts';
import { Checkpoint } from './checkpoint.ts';
import { Delivery } from './delivery.ts';
import type { EventLogSession } from './event-log.ts';
import { isSubscriberMark, subscriberMark } from './names.ts';
import type { Publisher } from './publisher.ts';
import { type Backlog, type ConsumerDoors, type Duty, ShardConsumer } from './shard-consumer.ts';
import { SubscriptionConsumer } from './subscription-consumer.ts';

export interface DutiesOptions {
  readonly node: Node;
  readonly directory: Directory;
  readonly caller: Caller;
  /** Those that grains of can be on this silo. */
  readonly types: readonly GrainType[];
  readonly session: EventLogSession;
  readonly publisher: Publisher;
}

/** How far the subscribers of a topic are behind. */
export interface TopicLag {
  readonly topic: string;
  /** The grain type that subscribes. */
  readonly subscriber: string;
  /**
   * Events that are not handled. Of grains that subscribe each on its own: those that are known of; one that
   * reads what was before its time does not know how much it is.
   */
  readonly events: number;
  /** Of these, under way to grains, or to be tried again. */
  readonly underWay: number;
  /** Shards that were counted, of so many. Fewer: nobody has taken over yet, or the log does not answer. */
  readonly shards: number;
  readonly ofShards: number;
}

interface Group {
  readonly type: string;
  readonly subscription: SubscriptionSpec;
  readonly shards: number;
  readonly mark: string;
  /** The first reader of a shard begins after this event. */
  readonly from: number;
}

interface Consumer {
  backlog(): Promise<Backlog> | undefined;
  stop(): Promise<void>;
  halt(): void;
}

/** How long a silo that starts tries to reach the log. */
const PREPARE_MS = 20_000;
const PREPARE_AGAIN_MS = 200;
/** How long another silo may take to say how far it is behind. */
const LAG_MS = 2_000;
const LAG_AGAIN_MS = 50;

/** What tells other silos that the classes of this one subscribe, and to what. */
export function subscriberMarks(types: Iterable<GrainType>): string[] {
  return [...types].flatMap(({ name, subscriptions }) =>
    subscriptions.filter(({ broadcast }) => !broadcast).map(({ topic }) => subscriberMark(topic, name)),
  );
}

/**
 * Which shards of which topics a silo reads, for which subscribers.
 *
 * Each shard of a topic is read for each grain type that subscribes by one silo: the first on the preference
 * list of a ring partition that has such a class. It begins when all silos are in the present era, so that
 * whoever had the duty before has given it up, or is gone. That is for economy: order and completeness rest
 * on what a reader does (`ShardConsumer`), not on its being alone.
 */
export class Duties {
  readonly #options: DutiesOptions;
  readonly #doors: ConsumerDoors;
  readonly #consumers = new Map<string, Consumer>();
  readonly #ending = new Set<Promise<void>>();
  #groups: readonly Group[] = [];
  #stopListening: (() => void) | undefined;
  #stopped = false;

  constructor(options: DutiesOptions) {
    this.#options = options;
    const { node, session, caller, publisher } = options;
    const { clock, random, events, control } = node;
    const delivery = new Delivery({ clock, random, events, caller, publisher });
    this.#doors = { clock, random, events, session, delivery, caller };
    control.on('topicLag', () => this.#ownLag());
  }

  /**
   * Makes the topics that classes of this silo subscribe to, and notes where their subscribers begin: from
   * here on no event is missed. Rejects with `InvalidConfigError`, or `EventLogError`.
   */
  async prepare(): Promise<void> {
    const { clock } = this.#options.node;
    const until = clock.now() + PREPARE_MS;
    for (;;) {
      try {
        this.#groups = await this.#prepareGroups();
        return;
      } catch (error) {
        if (!(error instanceof EventLogError) || clock.now() >= until || this.#stopped) throw error;
      }
      await sleep(clock, PREPARE_AGAIN_MS);
    }
  }

  /** Takes its share of the duties, now and with each era to come. */
  start(): void {
    const { events } = this.#options.node;
    this.#stopListening = events.subscribe(() => this.#reconcile(), ['viewChanged', 'eraSettled']);
    this.#reconcile();
  }

  /**
   * What is not handled, over all silos. Waits a moment for those who have just taken a shard over. Rejects
   * with `SiloUnavailableError` when a silo does not answer.
   */
  async lag(): Promise<TopicLag[]> {
    const { clock } = this.#options.node;
    for (const until = clock.now() + LAG_MS; ; await sleep(clock, LAG_AGAIN_MS)) {
      const lags = await this.#lagNow();
      if (lags.every(({ shards, ofShards }) => shards === ofShards) || clock.now() >= until) return lags;
    }
  }

  /** Hands its duties over. Never rejects. */
  async stop(): Promise<void> {
    this.#stopListening?.();
    this.#stopped = true;
    for (const name of [...this.#consumers.keys()]) this.#giveUp(name);
    await Promise.all(this.#ending);
  }

  /** Ends at once. */
  halt(): void {
    this.#stopListening?.();
    this.#stopped = true;
    for (const consumer of this.#consumers.values()) consumer.halt();
    this.#consumers.clear();
  }

  async #lagNow(): Promise<TopicLag[]> {
    const { node, directory } = this.#options;
    const ask = async (silo: NodeAddress) =>
      silo === node.address ? this.#ownLag() : node.control.request(silo, 'topicLag', undefined, LAG_MS);
    const { era } = directory;
    const reads = (silo: NodeAddress) => era.entry(nodeName(silo))?.types.some(isSubscriberMark) ?? false;
    const answers = await Promise.all([...era.present].filter(reads).map(ask));
    const sums = new Map<string, TopicLag>();
    for (const row of answers.flatMap((answer) => (Array.isArray(answer) ? (answer as TopicLag[]) : []))) {
      const name = subscriberMark(row.topic, row.subscriber);
      const { events, underWay, shards } = sums.get(name) ?? { events: 0, underWay: 0, shards: 0 };
      sums.set(name, {
        ...row,
        events: events + row.events,
        underWay: underWay + row.underWay,
        shards: shards + row.shards,
      });
    }
    return [...sums.values()];
  }

  async #prepareGroups(): Promise<Group[]> {
    const groups: Group[] = [];
    for (const { name: type, subscriptions } of this.#options.types) {
      for (const subscription of subscriptions.filter(({ broadcast }) => !broadcast)) {
        const { topic } = subscription;
        const shards = await this.#options.publisher.shards(topic);
        const from = subscription.explicit ? 0 : await this.#beginning(topic, type, subscription);
        groups.push({ type, subscription, shards, mark: subscriberMark(topic, type), from });
      }
    }
    return groups;
  }

  /** Where the subscribers of a type began when there was none before. */
  async #beginning(topic: string, type: string, { from }: SubscriptionSpec): Promise<number> {
    const { session } = this.#options;
    for (;;) {
      const checkpoint = await Checkpoint.open(session, ['group', topic, type], parseSeq, () => -1);
      if (checkpoint.exists) return checkpoint.value;
      const after = from === 'start' ? 0 : await session.head(topic);
      if (await checkpoint.write(after)) return after;
    }
  }

  #reconcile(): void {
    if (this.#stopped) return;
    const { directory, node } = this.#options;
    for (const group of this.#groups) {
      for (let shard = 0; shard < group.shards; shard++) {
        const name = `${group.mark} ${shard}`;
        const isMine = this.#ownerOf(name, group.mark) === node.address;
        if (!isMine) this.#giveUp(name);
        else if (directory.hasHeardAll && !this.#consumers.has(name)) this.#take(name, group, shard);
      }
    }
  }

  #ownerOf(name: string, mark: string): NodeAddress | undefined {
    const { era } = this.#options.directory;
    const { ring } = era;
    for (const silo of ring.preferenceList(ring.partitionOf(name), ring.silos.length)) {
      if (era.entry(silo)?.types.includes(mark)) return era.addressOf(silo);
    }
    return undefined;
  }

  #take(name: string, { type, subscription, from }: Group, shard: number): void {
    const { topic, spec, tries, explicit } = subscription;
    const duty: Duty = { rule: { topic, spec, tries }, type, shard };
    const consumer = explicit
      ? new SubscriptionConsumer(this.#doors, duty)
      : new ShardConsumer(this.#doors, duty, from);
    this.#consumers.set(name, consumer);
  }

  #giveUp(name: string): void {
    const consumer = this.#consumers.get(name);
    if (!consumer) return;
    this.#consumers.delete(name);
    const ending = consumer.stop().finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  async #ownLag(): Promise<TopicLag[]> {
    return Promise.all(
      this.#groups.map(async ({ type, subscription, shards: ofShards, mark }) => {
        const own = Array.from({ length: ofShards }, (_, shard) => this.#consumers.get(`${mark} ${shard}`));
        // One whose log does not answer is not counted.
        const counting = own.map((consumer) => consumer?.backlog()?.catch(() => undefined));
        const backlogs = await Promise.all(counting);
        const known = backlogs.filter((backlog) => backlog !== undefined);
        return {
          topic: subscription.topic,
          subscriber: type,
          events: known.reduce((sum, { events }) => sum + events, 0),
          underWay: known.reduce((sum, { underWay }) => sum + underWay, 0),
          shards: known.length,
          ofShards,
        };
      }),
    );
  }
}

function parseSeq(value: unknown): number | undefined {
  return Number.isSafeInteger(value) ? (value as number) : undefined;
}
