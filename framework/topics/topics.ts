import { InvalidConfigError } from '../errors.ts';
import { checkTopic } from '../grain/check-subscriptions.ts';
import { checkKnown } from '../grain/checks.ts';
import type { Caller } from '../grain/reference.ts';
import type { ReplayFrom } from '../grain/subscribe-options.ts';
import { canonicalKey, type GrainKey, grainIdOf, readableKey } from '../identity/grain-id.ts';
import { LIMITS } from '../limits.ts';
import type { DeadLetter } from './dead-letter.ts';
import { unpackEvent } from './delivery.ts';
import type { TopicLag } from './duties.ts';
import type { EventLogSession, LoggedEvent, LogReader } from './event-log.ts';
import { deadTopicOf, shardOf } from './names.ts';
import type { SiloTopics } from './silo-topics.ts';

/** An event as a program reads it from a topic. */
export interface TopicEvent {
  readonly key: string;
  readonly seq: number;
  readonly publishedAt: number;
  readonly event: unknown;
}

export interface ReadOptions {
  /** The events of this key alone. */
  readonly key?: GrainKey;
  /** All there is (the default), an event's number, or a time. */
  readonly from?: Exclude<ReplayFrom, 'new'>;
}

/** What the program that a silo is embedded in can do with topics. */
export interface Topics {
  /**
   * How far subscribers are behind, in the whole cluster. Rejects with `SiloUnavailableError` when a silo
   * does not answer.
   */
  lag(): Promise<TopicLag[]>;
  /** The events that a topic has now, by number, without being handled by anybody; then it ends. */
  read(topic: string, options?: ReadOptions): AsyncIterableIterator<TopicEvent>;
  /** The events of a topic that could not be handled, with the errors. */
  deadLetters(topic: string, options?: ReadOptions): AsyncIterableIterator<DeadLetter>;
}

const READ_OPTIONS: readonly (keyof ReadOptions)[] = ['key', 'from'];

/** Events read from a shard at once: several shards are read side by side. */
const BATCH = 64;

/** A silo's topics for its program. */
export function topicsOf(topics: SiloTopics): Topics {
  const { caller } = topics;
  const read = (topic: string, options: ReadOptions = {}) => {
    checkTopic('topics.read', topic);
    checkKnown('topics.read', options, READ_OPTIONS);
    const { session, publisher } = topics.log;
    return merged(session, () => publisher.shards(topic), topic, options, caller);
  };
  return {
    lag: () => topics.lag(),
    read,
    async *deadLetters(topic, options) {
      for await (const { event } of read(deadTopicOf(topic), options)) yield event as DeadLetter;
    },
  };
}

/** The events of all shards by number. Only those that are there when it begins. */
async function* merged(
  session: EventLogSession,
  shardsOf: () => Promise<number>,
  topic: string,
  { key, from = 'start' }: ReadOptions,
  caller: Caller,
): AsyncIterableIterator<TopicEvent> {
  const shards = await shardsOf();
  const canonical = key === undefined ? undefined : canonicalKey(topic, key);
  const after = await startOf(session, topic, from);
  const all = Array.from({ length: shards }, (_, shard) => shard);
  const wanted = canonical === undefined ? all : [shardOf(canonical, shards)];
  const sources = await Promise.all(wanted.map((shard) => ShardSource.open(session, topic, shard, after)));
  try {
    for (;;) {
      const heads = await Promise.all(sources.map((source) => source.head()));
      const first = heads.reduce((a, b) => (b && (!a || b.seq < a.seq) ? b : a), undefined);
      if (!first) return;
      sources[heads.indexOf(first)]?.shift();
      const [itsKey, event] = unpackEvent(first.data, caller);
      const { seq, publishedAt } = first;
      if (canonical !== undefined && itsKey !== canonical) continue;
      yield { key: readableKey(grainIdOf(topic, itsKey)), seq, publishedAt, event };
    }
  } finally {
    for (const source of sources) source.close();
  }
}

function startOf(session: EventLogSession, topic: string, from: ReadOptions['from']): Promise<number> {
  if (from === undefined || from === 'start') return Promise.resolve(0);
  if (from instanceof Date && Number.isFinite(from.getTime())) return session.headAt(topic, from.getTime());
  if (typeof from === 'number' && Number.isSafeInteger(from)) return Promise.resolve(from - 1);
  throw new InvalidConfigError(
    `topics.read: from is ${String(from)}; it must be 'start', an event's number, or a Date`,
  );
}

/** What one shard has, one after the other. */
class ShardSource {
  readonly #reader: LogReader<LoggedEvent>;
  /** Events that are still to be read. */
  #left: number;
  #events: LoggedEvent[] = [];

  private constructor(reader: LogReader<LoggedEvent>, left: number) {
    this.#reader = reader;
    this.#left = left;
  }

  static async open(
    session: EventLogSession,
    topic: string,
    shard: number,
    after: number,
  ): Promise<ShardSource> {
    const reader = session.read(topic, shard, after);
    return new ShardSource(reader, await reader.pending());
  }

  async head(): Promise<LoggedEvent | undefined> {
    while (this.#events.length === 0 && this.#left > 0) {
      const events = await this.#reader.next(Math.min(BATCH, this.#left), LIMITS.topicWindowBytes);
      if (events.length === 0) this.#left = 0; // what was there has been dropped meanwhile
      this.#left -= events.length;
      this.#events.push(...events);
    }
    return this.#events[0];
  }

  shift(): void {
    this.#events.shift();
  }

  close(): void {
    this.#reader.close();
  }
}
