import { type GrainId, isGrainId } from '../identity/grain-id.ts';
import { LIMITS } from '../limits.ts';
import { pack, unpack } from '../serialization/codec.ts';
import { sleep } from '../system/clock.ts';
import { type Delivered, type DeliveryRule, unpackEvent } from './delivery.ts';
import type { Cell, CellName, LoggedEvent } from './event-log.ts';
import type { ConsumerDoors } from './shard-consumer.ts';

/** What a subscription's cell holds: who wants the events of which key, and how far it has come. */
export interface Subscription {
  /** Tells one subscription from another of the same grain to the same key, before or after it. */
  readonly id: string;
  readonly target: GrainId;
  readonly key: string;
  readonly after: number;
  /** Failed attempts of the event after that. */
  readonly failed: number;
}

/** At most so often it is written down how far a subscription has come. */
const SAVE_MS = 200;
/** How long a reading of the log that failed is not tried again. */
const AGAIN_MS = 500;

/**
 * One grain's subscription to one key: brings it the events of that key one after the other, from where it
 * has come to.
 *
 * It reads the log itself (*behind*) until it finds nothing more; from then on (*abreast*) it takes the
 * events that the reader of its shard comes by. When these come faster than the grain handles them, it is
 * behind again: it never keeps more than a few. Whatever was offered while it asked the log and found
 * nothing makes it ask once more, so it misses none between the two.
 */
export class SubscriptionCursor {
  readonly #doors: ConsumerDoors;
  readonly #rule: DeliveryRule;
  readonly #shard: number;
  readonly #name: CellName;
  readonly #subscription: Subscription;
  readonly #stopped = new AbortController();
  #revision: number;
  /** The last event that was handled, and the last one that was taken to be. */
  #handled: number;
  #taken: number;
  /** What the cell says of the last one that was handled. */
  #saved: number;
  #failed: number;
  /** The last one that was offered. */
  #offered = 0;
  #abreast = false;
  #queue: LoggedEvent[] = [];
  #running: Promise<void> | undefined;
  #saving: Promise<void> | undefined;

  constructor(doors: ConsumerDoors, rule: DeliveryRule, shard: number, cell: Cell, value: Subscription) {
    this.#doors = doors;
    this.#rule = rule;
    this.#shard = shard;
    this.#name = cell.name;
    this.#revision = cell.revision;
    this.#subscription = value;
    this.#handled = value.after;
    this.#taken = value.after;
    this.#saved = value.after;
    this.#failed = value.failed;
    this.#pump();
  }

  get id(): string {
    return this.#subscription.id;
  }

  get key(): string {
    return this.#subscription.key;
  }

  /** Events that it knows of and that are not handled; of those that it has not read it knows no number. */
  get waiting(): number {
    return this.#queue.length + (this.#running ? 1 : 0);
  }

  /** The reader of the shard has come by an event of this key. */
  offer(event: LoggedEvent): void {
    this.#offered = event.seq;
    if (!this.#abreast || event.seq <= this.#taken) return;
    if (this.#queue.length >= LIMITS.subscriptionQueue) this.#abreast = false;
    else {
      this.#queue.push(event);
      this.#taken = event.seq;
    }
    this.#pump();
  }

  /** Ends, and writes down what it has come to. Never rejects. */
  async stop(): Promise<void> {
    this.halt();
    await this.#saving;
    if (this.#saved < this.#handled) await this.#save();
  }

  /** Ends at once. */
  halt(): void {
    this.#stopped.abort();
  }

  #pump(): void {
    if (this.#running || this.#stopped.signal.aborted) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#queue.length > 0 || !this.#abreast) this.#pump();
    });
  }

  /** Delivers until there is nothing left. Never rejects. */
  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    try {
      while (!signal.aborted) {
        const event = this.#queue.shift() ?? (await this.#readNext());
        if (!event || !(await this.#deliver(event))) return;
        this.#saving ??= this.#saveSoon();
      }
    } catch (error) {
      this.#tell(error);
      await sleep(this.#doors.clock, AGAIN_MS * (1 + this.#doors.random.next()), signal);
    }
  }

  /** The next one from the log, or undefined when it is abreast. */
  async #readNext(): Promise<LoggedEvent | undefined> {
    const { session, caller } = this.#doors;
    while (!this.#abreast) {
      const offered = this.#offered;
      const event = await session.first(this.#rule.topic, this.#shard, this.key, this.#taken);
      if (event) {
        this.#taken = event.seq;
        if (unpackEvent(event.data, caller)[0] === this.key) return event;
      } else if (this.#offered === offered || this.#offered <= this.#taken) this.#abreast = true;
    }
    return undefined;
  }

  async #deliver(event: LoggedEvent): Promise<boolean> {
    const delivered: Delivered = { ...event, failed: this.#failed };
    const { signal } = this.#stopped;
    const counted = () => {
      this.#failed = delivered.failed;
      this.#saving ??= this.#saveSoon();
    };
    const { target } = this.#subscription;
    if (!(await this.#doors.delivery.deliver(this.#rule, target, delivered, signal, counted))) return false;
    this.#handled = event.seq;
    this.#failed = 0;
    return true;
  }

  async #saveSoon(): Promise<void> {
    await sleep(this.#doors.clock, SAVE_MS, this.#stopped.signal);
    if (!this.#stopped.signal.aborted) await this.#save();
    this.#saving = undefined;
    if (this.#saved < this.#handled && !this.#stopped.signal.aborted) this.#saving = this.#saveSoon();
  }

  /** Never rejects: what was not written is written the next time, or handled again. */
  async #save(): Promise<void> {
    const { session } = this.#doors;
    const after = this.#handled;
    const data = pack({ ...this.#subscription, after, failed: this.#failed }, 'subscription');
    try {
      let revision = await session.writeCell(this.#name, data, this.#revision);
      if (revision === undefined && (await this.#isStillWanted())) {
        revision = await session.writeCell(this.#name, data, this.#revision);
      }
      if (revision === undefined) return;
      this.#revision = revision;
      this.#saved = after;
    } catch (error) {
      this.#tell(error);
    }
  }

  /** Somebody else has written: this silo itself, without hearing of it; another; or the grain, to end it. */
  async #isStillWanted(): Promise<boolean> {
    const cell = await this.#doors.session.cell(this.#name);
    const now = cell && parseSubscription(cell.data);
    if (now?.id === this.id) this.#revision = (cell as Cell).revision;
    else this.halt();
    return now?.id === this.id;
  }

  #tell(error: unknown): void {
    if (this.#stopped.signal.aborted) return;
    this.#doors.events.publish({ type: 'eventLogFailed', topic: this.#rule.topic, error });
  }
}

/** What is in a cell, if it is a subscription. */
export function parseSubscription(data: Uint8Array): Subscription | undefined {
  if (data.length === 0) return undefined;
  const { id, target, key, after, failed } = unpack(data) as Partial<Record<keyof Subscription, unknown>>;
  if (typeof id !== 'string' || !isGrainId(target) || typeof key !== 'string') return undefined;
  if (!Number.isSafeInteger(after) || !Number.isSafeInteger(failed)) return undefined;
  return { id, target, key, after: after as number, failed: failed as number };
}
