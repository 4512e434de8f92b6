import type { Directory } from '../directory/directory.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import {
  type NextTick,
  partitionBits,
  type ReminderId,
  type ReminderStore,
  type StoredReminder,
} from '../storage/reminder-store.ts';
import type { Timer } from '../system/clock.ts';
import { AHEAD_MS, type DueEntry, DueQueue, type Made } from './due-queue.ts';
import { grainOf, textOf } from './reminder-id.ts';
import { makeTick, type TickDoors } from './tick.ts';

export interface SiloRemindersOptions extends TickDoors {
  readonly self: NodeAddress;
  readonly directory: Directory;
  readonly store: ReminderStore;
  /** Whether any class of the cluster has reminders: if not, nothing is read. */
  readonly inUse: () => boolean;
}

/** How often the store is read, for what nobody told this silo of; well within what is read ahead. */
const READ_MS = 5_000;
/** After a read that failed, or a tick whose outcome the store could not be told. */
const AGAIN_MS = 1_000;
/** The longest sleep while something waits: the wall clock may be set meanwhile. */
const SLEEP_MS = 1_000;
/** While a partition is being taken over. */
const OPENING_MS = 100;
/**
 * Ticks that begin in one round of the event loop, so that calls have their turn between them. With four
 * times as many, calls took twice as long, and the ticks were not faster.
 */
const BURST = 8;

/**
 * The reminders of the partitions that this silo is primary of. It reads ahead what is due soon, makes each
 * tick when its time has come, and then moves the reminder on.
 *
 * **Who makes a tick** is decided like a grain's place: a partition that is open for this silo is open for no
 * other, among silos that can reach each other. In a split both sides may own it, and both make the tick.
 *
 * **At least once.** A reminder is moved on only after the tick's turn has ended, and under the condition
 * that it still waits for that tick. Whoever takes over in between makes the tick again, with the same
 * `scheduledAt`. So a silo may crash anywhere in here, and may be wrong about what it owns.
 *
 * **Memory.** At most `LIMITS.remindersAhead` are kept; the rest waits in the store, also what has failed and
 * is to be made later.
 */
export class SiloReminders {
  readonly #options: SiloRemindersOptions;
  readonly #queue = new DueQueue();
  /** Reminders whose tick is under way, and what was heard of them meanwhile. */
  readonly #underWay = new Map<string, DueEntry | undefined>();
  readonly #unsubscribe: () => void;
  #heard = 0;
  #timer: Timer | undefined;
  /** When the timer fires, and when the store is to be read; monotonic. */
  #wakesAt = Number.POSITIVE_INFINITY;
  #readAt = Number.POSITIVE_INFINITY;
  #reading = false;
  /** What is due from here on may be in the store alone, as there was no room for all that is due soon. */
  #horizon = Number.POSITIVE_INFINITY;
  #pumping = false;
  /** By how much the wall clock is ahead of the monotonic one. */
  #aheadBy: number;
  #stopped = false;
  #idle: (() => void)[] = [];

  constructor(options: SiloRemindersOptions) {
    this.#options = options;
    this.#aheadBy = options.clock.wallNow() - options.clock.now();
    this.#unsubscribe = options.events.subscribe(() => this.#readSoon(), ['eraSettled']);
  }

  /** Reminders that are due soon and are kept here. */
  get ahead(): number {
    return this.#queue.size;
  }

  /** Ticks that are under way. */
  get underWay(): number {
    return this.#underWay.size;
  }

  /** A reminder has been set. */
  set(reminder: StoredReminder): void {
    this.#readAt = Math.min(this.#readAt, this.#options.clock.now() + READ_MS);
    this.#offer(reminder, ++this.#heard);
    this.#sleep();
  }

  /** A reminder has been forgotten, or set for later. */
  gone(id: ReminderId): void {
    this.#heard++;
    this.#queue.drop(textOf(id));
  }

  /** No tick begins any more; resolves when those that have begun are told of. */
  finish(): Promise<void> {
    this.stop();
    if (this.#underWay.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#unsubscribe();
    this.#queue.clear();
  }

  // ---- time

  #readSoon(): void {
    if (this.#stopped || !this.#options.inUse()) return;
    this.#readAt = this.#options.clock.now();
    this.#sleep();
  }

  /** Until the next thing is to be done. */
  #sleep(): void {
    if (this.#stopped) return;
    const { clock } = this.#options;
    const now = clock.now();
    const hasRoom = this.#underWay.size < LIMITS.reminderTicks;
    const first = hasRoom ? this.#queue.peek() : undefined;
    const untilDue = first ? Math.min(first.at - clock.wallNow(), SLEEP_MS) : Number.POSITIVE_INFINITY;
    const untilRead = this.#reading ? Number.POSITIVE_INFINITY : this.#readAt - now;
    const wakesAt = now + Math.max(0, Math.min(untilDue, untilRead));
    if (wakesAt >= this.#wakesAt) return;
    this.#timer?.cancel();
    this.#wakesAt = wakesAt;
    this.#timer = clock.inBackground(Math.ceil(wakesAt - now), () => {
      this.#wakesAt = Number.POSITIVE_INFINITY;
      this.#pump();
    });
  }

  /** Does what is due, a part of it in each round of the event loop. */
  #pump(): void {
    this.#pumping = false;
    if (this.#stopped) return;
    const { clock } = this.#options;
    this.#noticeJump();
    for (let begun = 0; this.#underWay.size < LIMITS.reminderTicks; begun++) {
      const first = this.#queue.peek();
      if (!first || first.at > clock.wallNow()) break;
      if (begun === BURST) {
        this.#pumpSoon();
        break;
      }
      this.#queue.take();
      this.#begin(first);
    }
    const hasRoom = this.#queue.size < LIMITS.remindersAhead / 2;
    if (hasRoom && this.#horizon < Number.POSITIVE_INFINITY) this.#readAt = clock.now();
    if (clock.now() >= this.#readAt && !this.#reading) void this.#read();
    this.#sleep();
  }

  /** The wall clock may be set back: what was put off for a moment must not wait for all of that. */
  #noticeJump(): void {
    const { clock } = this.#options;
    const now = clock.wallNow();
    const aheadBy = now - clock.now();
    if (aheadBy < this.#aheadBy - SLEEP_MS) {
      const putOff = [...this.#queue.all()].filter(({ at, made, reminder }) => made || at > reminder.wakeAt);
      for (const entry of putOff) this.#queue.put({ ...entry, at: now });
    }
    this.#aheadBy = aheadBy;
  }

  #pumpSoon(): void {
    if (this.#pumping || this.#stopped) return;
    this.#pumping = true;
    this.#options.clock.afterIO(() => this.#pump());
  }

  // ---- what is due

  async #read(): Promise<void> {
    const { clock, directory, events, self, store } = this.#options;
    this.#reading = true;
    this.#readAt = clock.now() + READ_MS;
    this.#horizon = Number.POSITIVE_INFINITY;
    const heard = ++this.#heard;
    try {
      const { partitions } = directory.era.ring;
      const wanted = partitionBits(partitions, (partition) => directory.primary(partition) === self);
      const query = { until: clock.wallNow() + AHEAD_MS, partitions, wanted, limit: LIMITS.reminderPage };
      let after: StoredReminder | undefined;
      do {
        const page: StoredReminder[] = await store.wakingReminders({ ...query, after });
        if (this.#stopped) return;
        for (const reminder of page) this.#offer(reminder, heard);
        after = page.length === query.limit ? page.at(-1) : undefined;
        this.#pumpSoon();
      } while (after && this.#horizon === Number.POSITIVE_INFINITY);
    } catch (error) {
      this.#readAt = Math.min(this.#readAt, clock.now() + AGAIN_MS);
      events.publish({ type: 'reminderStoreFailed', error });
    } finally {
      this.#reading = false;
      this.#sleep();
    }
  }

  /** `heard`: when this was asked for, or told; what is known from later on stays. */
  #offer(reminder: StoredReminder, heard: number): void {
    if (this.#stopped) return;
    const key = textOf(reminder);
    const entry = { key, reminder, at: reminder.wakeAt, heard, made: undefined };
    if (this.#underWay.has(key)) {
      const known = this.#underWay.get(key);
      if (known === undefined || known.heard < heard) this.#underWay.set(key, entry);
      return;
    }
    const known = this.#queue.get(key);
    const isMade = known?.made && known.reminder.registration === reminder.registration;
    if (known && (known.heard >= heard || isMade)) return;
    this.#keep(entry);
  }

  /**
   * Keeps what is due first; for the rest there is the store. What follows upon a tick must not take the
   * room of what is due before it and waits there, or that would wait for ever.
   */
  #keep(entry: DueEntry): void {
    const { size, latest } = this.#queue;
    const most = LIMITS.remindersAhead;
    if (size >= most && entry.at >= latest) this.#horizon = Math.min(this.#horizon, entry.at);
    if (entry.at >= this.#horizon && !entry.made) return this.#queue.drop(entry.key);
    this.#queue.put(entry);
    if (this.#queue.size <= most) return;
    this.#horizon = Math.min(this.#horizon, this.#queue.shed(most - most / 4));
  }

  // ---- ticks

  #begin(entry: DueEntry): void {
    const { clock, directory, self } = this.#options;
    const partition = directory.partitionOf(grainOf(entry.reminder));
    if (directory.primary(partition) !== self) return;
    if (!directory.isOpen(partition)) {
      this.#queue.put({ ...entry, at: clock.wallNow() + OPENING_MS });
      return;
    }
    this.#underWay.set(entry.key, undefined);
    void this.#carryOut(entry).then((follows) => this.#ended(entry, follows));
  }

  /**
   * Makes the tick, if it has not been made, and moves the reminder on. What follows soon, if anything
   * does.
   */
  async #carryOut(entry: DueEntry): Promise<DueEntry | undefined> {
    const made = entry.made ?? (await makeTick(entry.reminder, this.#options));
    return made && this.#moveOn(entry, made);
  }

  async #moveOn(entry: DueEntry, made: Made): Promise<DueEntry | undefined> {
    const { clock, events, store } = this.#options;
    const { reminder } = entry;
    const next = made.next && spread(reminder, made.next, clock.wallNow());
    try {
      const isMoved = await store.advanceReminder(reminder, reminder, next);
      if (!isMoved || !next || next.wakeAt > clock.wallNow() + AHEAD_MS) return undefined;
      const follower = { ...reminder, ...next };
      return { ...entry, reminder: follower, at: next.wakeAt, heard: ++this.#heard, made: undefined };
    } catch (error) {
      events.publish({ type: 'reminderStoreFailed', error });
      // Whether or not it has been moved on: what is asked for is conditional, and may be asked for again.
      return { ...entry, made, at: clock.wallNow() + AGAIN_MS };
    }
  }

  #ended(entry: DueEntry, follows: DueEntry | undefined): void {
    const heardOf = this.#underWay.get(entry.key);
    this.#underWay.delete(entry.key);
    if (this.#underWay.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
    if (this.#stopped) return;
    // A page that was asked for earlier tells what was; another registration, or what was told, is news.
    const isOther = heardOf?.reminder.registration !== entry.reminder.registration;
    const successor = heardOf && isOther && heardOf.heard > entry.heard ? heardOf : follows;
    if (successor) this.#keep(successor);
    this.#pumpSoon();
  }
}

/** While ticks that were missed are made up for, this long lies between two of one reminder. */
const CATCH_UP_MS = 100;

function spread(reminder: StoredReminder, next: NextTick, now: number): NextTick {
  const isMakingUp = next.dueAt > reminder.dueAt && next.wakeAt < now;
  return isMakingUp ? { ...next, wakeAt: now + CATCH_UP_MS } : next;
}
