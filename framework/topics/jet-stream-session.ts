import {
  DiscardPolicy,
  NatsError,
  nanos,
  RetentionPolicy,
  StorageType,
  type StoredMsg,
  type StreamConfig,
} from 'nats';
import { InvalidConfigError, PayloadTooLargeError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { Cell, CellName, EventLogSession, LoggedEvent, LogReader, NewEvent } from './event-log.ts';
import { ANSWER_MS, type JetStreamLink, type Link } from './jet-stream-link.ts';
import type { JetStreamNames } from './jet-stream-names.ts';
import { JetStreamReader, type JetStreamSource } from './jet-stream-reader.ts';
import { isDeadTopic } from './names.ts';

export interface TopicSettings {
  /** Undefined: whatever the topic has, or 16. */
  readonly shards: number | undefined;
  readonly replicas: number;
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}

/** What the server answers: no such stream, no such message, another has written. */
const NO_STREAM = 10059;
const NO_MESSAGE = 10037;
const WRONG_SEQUENCE = 10071;
/** The server refuses an event that comes twice within this time. */
const DUPLICATES_MS = 120_000;
/** What is around an event in its message; and around one that was put aside, besides the error. */
const AROUND_BYTES = 4 * 1024;
const ERROR_BYTES = 32 * 1024;

/** One node's use of JetStream as a log. */
export class JetStreamSession implements EventLogSession {
  readonly #link: JetStreamLink;
  readonly #names: JetStreamNames;
  readonly #settings: TopicSettings;
  readonly #readers = new Set<LogReader<unknown>>();

  constructor(link: JetStreamLink, names: JetStreamNames, settings: TopicSettings) {
    this.#link = link;
    this.#names = names;
    this.#settings = settings;
  }

  /** Makes the stream of the cells. */
  async open(): Promise<void> {
    const { cells: name, allCells } = this.#names;
    await this.#link.use((link) =>
      this.#stream(link, name, { subjects: [allCells], max_msgs_per_subject: 1, allow_rollup_hdrs: false }),
    );
  }

  shards(topic: string): Promise<number> {
    const { shards: wanted, maxAgeMs, maxBytes } = this.#settings;
    return this.#link.use(async (link) => {
      const subjects = this.#names.shards(topic, wanted ?? LIMITS.topicShards);
      const limits = { max_age: nanos(maxAgeMs), max_bytes: maxBytes };
      const config = await this.#stream(link, this.#names.stream(topic), { subjects, ...limits });
      const shards = this.#names.countShards(topic, config.subjects);
      if (wanted === undefined || wanted === shards) return shards;
      throw new InvalidConfigError(
        `topic '${topic}' has ${shards} shards, and jetStream({ shards: ${wanted} }) asks for others; ` +
          'their number is fixed when a topic is made: give the same, or none',
      );
    });
  }

  append(topic: string, shard: number, { key, data, id }: NewEvent): Promise<number> {
    return this.#link.use(async ({ connection, js }) => {
      const around = AROUND_BYTES + (isDeadTopic(topic) ? 0 : ERROR_BYTES);
      const most = (connection.info?.max_payload ?? Number.POSITIVE_INFINITY) - around;
      if (data.length > most) {
        throw new PayloadTooLargeError(
          `publish to '${topic}': the event has ${data.length} bytes, the NATS server takes ${most}; ` +
            'put what is large into a store and publish its name',
        );
      }
      const subject = this.#names.event(topic, shard, key);
      const ack = await js.publish(subject, data, { msgID: encodeURIComponent(id), timeout: ANSWER_MS });
      return ack.seq;
    });
  }

  head(topic: string): Promise<number> {
    return this.#link.use(async ({ jsm }) => {
      const { state } = await jsm.streams.info(this.#names.stream(topic));
      return state.last_seq;
    });
  }

  headAt(topic: string, at: number): Promise<number> {
    const stream = this.#names.stream(topic);
    return this.#link.use(async ({ jsm }) => {
      const { state } = await jsm.streams.info(stream);
      // Numbers have no gaps, as only the oldest messages go: so the first one after the time is found by
      // halving.
      let low = Math.max(state.first_seq, 1);
      let high = state.last_seq + 1;
      while (low < high) {
        const middle = Math.floor((low + high) / 2);
        const message = await absentIs(jsm.streams.getMessage(stream, { seq: middle }), NO_MESSAGE);
        if (message && message.time.getTime() >= at) high = middle;
        else low = middle + 1;
      }
      return low - 1;
    });
  }

  first(topic: string, shard: number, key: string, after: number): Promise<LoggedEvent | undefined> {
    const query = { seq: after + 1, next_by_subj: this.#names.event(topic, shard, key) };
    return this.#link.use(async ({ jsm }) => {
      const found = await absentIs(jsm.streams.getMessage(this.#names.stream(topic), query), NO_MESSAGE);
      return found && { seq: found.seq, data: found.data, publishedAt: found.time.getTime() };
    });
  }

  read(topic: string, shard: number, after: number): LogReader<LoggedEvent> {
    const subject = this.#names.shard(topic, shard);
    const item = ({ seq, data, publishedAt }: LoggedEvent) => ({ seq, data, publishedAt });
    return this.#reader({ stream: this.#names.stream(topic), subject, after, item });
  }

  cell(name: CellName): Promise<Cell | undefined> {
    return this.#link.use(async (link) => {
      const found = await this.#lastOf(link, name);
      return found && found.data.length > 0 ? { name, data: found.data, revision: found.seq } : undefined;
    });
  }

  writeCell(name: CellName, data: Uint8Array | undefined, revision: number): Promise<number | undefined> {
    return this.#link.use(async (link) => {
      const written = await this.#put(link, name, data, revision);
      if (written !== undefined || revision !== 0) return written;
      // What was removed has left a number behind.
      const removed = await this.#lastOf(link, name);
      return removed && removed.data.length === 0 ? this.#put(link, name, data, removed.seq) : undefined;
    });
  }

  watch(prefix: CellName): LogReader<Cell> {
    return this.#reader({
      stream: this.#names.cells,
      subject: this.#names.cellsUnder(prefix),
      after: undefined,
      item: ({ subject, data, seq }) => ({ name: this.#names.cellName(subject), data, revision: seq }),
    });
  }

  async close(): Promise<void> {
    for (const reader of [...this.#readers]) reader.close();
    await this.#link.close();
  }

  #reader<Item>(source: JetStreamSource<Item>): LogReader<Item> {
    const reader = new JetStreamReader(this.#link, source, () => this.#readers.delete(reader));
    this.#readers.add(reader);
    return reader;
  }

  /** A stream's configuration; makes it when there is none. */
  async #stream({ jsm }: Link, name: string, settings: Partial<StreamConfig>): Promise<StreamConfig> {
    const found = await absentIs(jsm.streams.info(name), NO_STREAM);
    if (found) return found.config;
    const config: Partial<StreamConfig> = {
      ...{ name, storage: StorageType.File, retention: RetentionPolicy.Limits, discard: DiscardPolicy.Old },
      ...{ num_replicas: this.#settings.replicas, duplicate_window: nanos(DUPLICATES_MS) },
      ...settings,
    };
    try {
      return (await jsm.streams.add(config)).config;
    } catch (error) {
      // Another node may have made it at the same time, with another configuration.
      const made = await absentIs(jsm.streams.info(name), NO_STREAM);
      if (made) return made.config;
      throw error;
    }
  }

  #lastOf({ jsm }: Link, name: CellName): Promise<StoredMsg | undefined> {
    const query = { last_by_subj: this.#names.cell(name) };
    return absentIs(jsm.streams.getMessage(this.#names.cells, query), NO_MESSAGE);
  }

  async #put(
    { js }: Link,
    name: CellName,
    data: Uint8Array | undefined,
    revision: number,
  ): Promise<number | undefined> {
    const expect = { lastSubjectSequence: revision };
    const written = js.publish(this.#names.cell(name), data, { expect, timeout: ANSWER_MS });
    return (await absentIs(written, WRONG_SEQUENCE))?.seq;
  }
}

/** What a promise brings, or undefined when the server has answered with this code. */
async function absentIs<T>(answer: Promise<T>, code: number): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof NatsError && error.api_error?.err_code === code) return undefined;
    throw error;
  }
}
