import { keyOf, typeOf } from '../identity/grain-id.ts';
import { LIMITS } from '../limits.ts';
import { sleep } from '../system/clock.ts';
import { unpackEvent } from './delivery.ts';
import type { Cell, CellName, LoggedEvent, LogReader } from './event-log.ts';
import type { Backlog, ConsumerDoors, Duty } from './shard-consumer.ts';
import { parseSubscription, type Subscription, SubscriptionCursor } from './subscription-cursor.ts';

/** Between two attempts to read, at least and at most. */
const AGAIN_MS = 500;
const AGAIN_MAX_MS = 5_000;
/** Cells and events taken in at once. */
const BATCH = 256;

/** The cell of a grain's subscription to a key. */
export function subscriptionCell(topic: string, shard: number, { target, key }: SubscriptionName): CellName {
  return ['subscription', topic, typeOf(target), String(shard), keyOf(target), key];
}

type SubscriptionName = Pick<Subscription, 'target' | 'key'>;

/**
 * Brings events of one shard to those grains of one type that are subscribed to their keys, while this silo
 * has the duty. It hears of subscriptions as it hears of events: it reads their cells, and then each change.
 */
export class SubscriptionConsumer {
  readonly #doors: ConsumerDoors;
  readonly #duty: Duty;
  readonly #stopped = new AbortController();
  readonly #cursors = new Map<string, SubscriptionCursor>();
  readonly #byKey = new Map<string, Set<SubscriptionCursor>>();
  readonly #readers = new Set<LogReader<unknown>>();
  readonly #running: Promise<unknown>;
  /** The last event that the reader of the shard has come by. */
  #last = 0;

  constructor(doors: ConsumerDoors, duty: Duty) {
    this.#doors = doors;
    this.#duty = duty;
    this.#running = this.#run();
  }

  async backlog(): Promise<Backlog> {
    let waiting = 0;
    for (const cursor of this.#cursors.values()) waiting += cursor.waiting;
    return { events: waiting, underWay: waiting };
  }

  /** Ends, and writes down what has been handled. Never rejects. */
  async stop(): Promise<void> {
    const cursors = [...this.#cursors.values()];
    this.halt();
    await Promise.all(cursors.map((cursor) => cursor.stop()));
    await this.#running;
  }

  /** Ends at once. */
  halt(): void {
    this.#stopped.abort();
    for (const reader of this.#readers) reader.close();
    for (const cursor of this.#cursors.values()) cursor.halt();
  }

  /** First where the end is, then who is subscribed: a cursor must hear of what comes after it has looked. */
  async #run(): Promise<void> {
    await this.#again(async () => {
      this.#last = await this.#doors.session.head(this.#duty.rule.topic);
      return true;
    });
    await Promise.all([this.#again(() => this.#events()), this.#again(() => this.#changes())]);
  }

  /** Until it has succeeded, or this one is stopped. Never rejects. */
  async #again(act: () => Promise<unknown>): Promise<void> {
    const { clock, random, events } = this.#doors;
    const { signal } = this.#stopped;
    for (let againMs = AGAIN_MS; !signal.aborted; againMs = Math.min(2 * againMs, AGAIN_MAX_MS)) {
      try {
        if (await act()) return;
      } catch (error) {
        if (!signal.aborted) events.publish({ type: 'eventLogFailed', topic: this.#duty.rule.topic, error });
      }
      await sleep(clock, againMs * (0.5 + random.next()), signal);
    }
  }

  /** What is published from now on. What was before, the cursors read themselves. */
  async #events(): Promise<void> {
    const { session, caller } = this.#doors;
    const { rule, shard } = this.#duty;
    await this.#readAll(session.read(rule.topic, shard, this.#last), (event: LoggedEvent) => {
      this.#last = event.seq;
      const [key] = unpackEvent(event.data, caller);
      for (const cursor of this.#byKey.get(key) ?? []) cursor.offer(event);
    });
  }

  async #changes(): Promise<void> {
    const { rule, type, shard } = this.#duty;
    const prefix: CellName = ['subscription', rule.topic, type, String(shard)];
    await this.#readAll(this.#doors.session.watch(prefix), (cell: Cell) => this.#changed(cell));
  }

  async #readAll<Item>(reader: LogReader<Item>, take: (item: Item) => void): Promise<void> {
    this.#readers.add(reader);
    try {
      while (!this.#stopped.signal.aborted) {
        for (const item of await reader.next(BATCH, LIMITS.topicWindowBytes)) {
          if (!this.#stopped.signal.aborted) take(item);
        }
      }
    } finally {
      reader.close();
      this.#readers.delete(reader);
    }
  }

  #changed(cell: Cell): void {
    const name = cell.name.join('\n');
    const subscription = parseSubscription(cell.data);
    const present = this.#cursors.get(name);
    if (present && present.id === subscription?.id) return; // how far it has come, which it knows itself
    if (present) this.#drop(name, present);
    if (!subscription) return;
    const { rule, shard } = this.#duty;
    const cursor = new SubscriptionCursor(this.#doors, rule, shard, cell, subscription);
    this.#cursors.set(name, cursor);
    const others = this.#byKey.get(cursor.key);
    if (others) others.add(cursor);
    else this.#byKey.set(cursor.key, new Set([cursor]));
  }

  #drop(name: string, cursor: SubscriptionCursor): void {
    cursor.halt();
    this.#cursors.delete(name);
    const others = this.#byKey.get(cursor.key);
    if (others?.delete(cursor) && others.size === 0) this.#byKey.delete(cursor.key);
  }
}
