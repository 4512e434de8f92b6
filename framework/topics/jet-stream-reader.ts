import {
  AckPolicy,
  type ConsumerConfig,
  createInbox,
  DeliverPolicy,
  type Msg,
  nanos,
  ReplayPolicy,
} from 'nats';
import { EventLogError } from '../errors.ts';
import { systemClock, type Timer } from '../system/clock.ts';
import type { LogReader } from './event-log.ts';
import type { JetStreamLink, Link } from './jet-stream-link.ts';

/** What is read of a stream. */
export interface JetStreamSource<Item> {
  readonly stream: string;
  readonly subject: string;
  /** Messages after this one; undefined: the last of each subject, then each new one. */
  readonly after: number | undefined;
  item(message: JetStreamMessage): Item;
}

export interface JetStreamMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly seq: number;
  readonly publishedAt: number;
}

interface Consumer {
  readonly link: Link;
  readonly name: string;
  readonly inbox: string;
  unsubscribe(): void;
  /** Of its messages, the last one that has come. */
  delivered: number;
}

/** How long the server lets a question wait for messages, and how much longer this side does. */
const EXPIRES_MS = 10_000;
const GRACE_MS = 3_000;
/** How long the server keeps a consumer that asks for nothing: a window may be full for as long. */
const INACTIVE_MS = 5 * 60_000;

/**
 * Reads a stream with a consumer of its own, which the server forgets when nobody asks. Nothing is
 * acknowledged: what has been handled is kept elsewhere, so a consumer that is lost, with its server, with
 * the leader of its stream, or by silence, is replaced by one that begins after the last message that came. A
 * message that was lost on its way shows by the consumer's count, which has no gaps.
 */
export class JetStreamReader<Item> implements LogReader<Item> {
  readonly #link: JetStreamLink;
  readonly #source: JetStreamSource<Item>;
  readonly #stopListening: () => void;
  readonly #onClose: () => void;
  #last: number | undefined;
  #consumer: Consumer | undefined;
  #making: Promise<Consumer> | undefined;
  /** What was asked for and has not come: the end of the question wakes, too. */
  #asked: Timer | undefined;
  #items: Item[] = [];
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(link: JetStreamLink, source: JetStreamSource<Item>, onClose: () => void) {
    this.#link = link;
    this.#source = source;
    this.#last = source.after;
    this.#onClose = onClose;
    this.#stopListening = link.onLost(() => this.#dropConsumer());
  }

  async next(max: number, maxBytes: number): Promise<readonly Item[]> {
    if (this.#items.length === 0 && !this.#closed) {
      const consumer = await this.#ready();
      if (this.#closed) return [];
      if (!this.#asked) this.#ask(consumer, max, maxBytes);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#closed ? [] : this.#items.splice(0, max);
  }

  async pending(): Promise<number> {
    const { name } = await this.#ready();
    const info = await this.#link.use(({ jsm }) => jsm.consumers.info(this.#source.stream, name));
    return info.num_pending + this.#items.length;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopListening();
    const consumer = this.#consumer;
    this.#dropConsumer();
    this.#onClose();
    // The server forgets it anyway, a little later.
    if (consumer && this.#link.isCurrent(consumer.link)) {
      consumer.link.jsm.consumers.delete(this.#source.stream, consumer.name).catch(() => {});
    }
  }

  /** The consumer; a new one, if there is none. Only one is made at a time, whoever asks. */
  #ready(): Promise<Consumer> {
    if (this.#consumer) return Promise.resolve(this.#consumer);
    this.#making ??= this.#make().finally(() => {
      this.#making = undefined;
    });
    return this.#making;
  }

  async #make(): Promise<Consumer> {
    const { stream, subject } = this.#source;
    const consumer = await this.#link.use(async (link) => {
      if (this.#last !== undefined) await this.#checkLast(link, this.#last);
      const { name } = await link.jsm.consumers.add(stream, this.#config(subject));
      return this.#subscribe(link, name);
    });
    if (this.#closed || !this.#link.isCurrent(consumer.link)) consumer.unsubscribe();
    else this.#consumer = consumer;
    return consumer;
  }

  /** A consumer that begins beyond the end of its stream waits for that number, and leaves out the rest. */
  async #checkLast({ jsm }: Link, last: number): Promise<void> {
    const { stream } = this.#source;
    const { state } = await jsm.streams.info(stream);
    if (state.last_seq >= last) return;
    const text = `jetStream(): the stream ${stream} ends at ${state.last_seq}, and ${last} has been read: `;
    throw new EventLogError(`${text}it has lost messages, or has been made anew`);
  }

  #config(filter_subject: string): Partial<ConsumerConfig> {
    return {
      filter_subject,
      ack_policy: AckPolicy.None,
      replay_policy: ReplayPolicy.Instant,
      inactive_threshold: nanos(INACTIVE_MS),
      mem_storage: true,
      num_replicas: 1,
      ...(this.#last === undefined
        ? { deliver_policy: DeliverPolicy.LastPerSubject }
        : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: this.#last + 1 }),
    };
  }

  #subscribe(link: Link, name: string): Consumer {
    const inbox = createInbox();
    const callback = (error: Error | null, message: Msg) => {
      if (this.#consumer !== consumer) return;
      if (error) this.#dropConsumer();
      else this.#received(consumer, message);
    };
    const subscription = link.connection.subscribe(inbox, { callback });
    const unsubscribe = () => {
      if (!link.connection.isClosed()) subscription.unsubscribe();
    };
    const consumer: Consumer = { link, name, inbox, unsubscribe, delivered: 0 };
    return consumer;
  }

  #ask({ link, name, inbox }: Consumer, batch: number, max_bytes: number): void {
    const question = { batch, max_bytes, expires: nanos(EXPIRES_MS) };
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${this.#source.stream}.${name}`;
    // Without a word, not even that there is nothing, the consumer counts as lost.
    this.#asked = systemClock.inBackground(EXPIRES_MS + GRACE_MS, () => this.#dropConsumer());
    this.#left = batch;
    if (!link.connection.isClosed())
      link.connection.publish(subject, JSON.stringify(question), { reply: inbox });
  }

  /** Messages that the present question may still bring. */
  #left = 0;

  #received(consumer: Consumer, message: Msg): void {
    const place = message.reply === undefined ? undefined : parsePlace(message.reply);
    if (!place) return this.#status(message);
    if (place.delivered !== consumer.delivered + 1) return this.#dropConsumer(); // one was lost
    consumer.delivered = place.delivered;
    this.#last = place.seq;
    const { seq, publishedAt } = place;
    // The socket's buffer is behind the message: a copy lets go of it.
    const data = message.data.slice();
    this.#items.push(this.#source.item({ subject: message.subject, data, seq, publishedAt }));
    if (--this.#left <= 0) this.#answered();
    this.#wakeUp();
  }

  /** Not a message, but what has become of the question: over, or nobody there to answer it. */
  #status({ headers }: Msg): void {
    const code = headers?.code;
    if (code === NOT_FOUND || code === EXPIRED || (code === CONFLICT && !isEnd(headers?.description ?? ''))) {
      this.#answered();
      this.#wakeUp();
    } else if (code !== HEARTBEAT) this.#dropConsumer();
  }

  #answered(): void {
    this.#asked?.cancel();
    this.#asked = undefined;
  }

  #dropConsumer(): void {
    this.#consumer?.unsubscribe();
    this.#consumer = undefined;
    this.#answered();
    this.#wakeUp();
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

const HEARTBEAT = 100;
const NOT_FOUND = 404;
const EXPIRED = 408;
const CONFLICT = 409;

/** Whether a conflict is the end of the consumer, and not only of a question. */
function isEnd(description: string): boolean {
  return /deleted|leadership|shutdown/i.test(description);
}

/**
 * Where a message lies: the server tells in the reply subject, `$JS.ACK.<stream>.<consumer>.<deliveries>.
 * <seq in the stream>.<seq of the consumer>.<time>.<pending>`, newer ones with domain and account in front.
 */
function parsePlace(reply: string): { seq: number; delivered: number; publishedAt: number } | undefined {
  const tokens = reply.split('.');
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK' || tokens.length < 9) return undefined;
  const first = tokens.length === 9 ? 4 : 6;
  const [, seq, delivered, time] = tokens.slice(first).map(Number);
  if (!Number.isSafeInteger(seq) || !Number.isSafeInteger(delivered) || time === undefined) return undefined;
  return { seq: seq as number, delivered: delivered as number, publishedAt: Math.floor(time / 1e6) };
}
