import type { Clock } from '../system/clock.ts';

/**
 * Something with a deadline, a link in the wheel's lists. `slot` (-1: in none) and the links are the wheel's
 * own.
 */
export interface Expiring<Self> {
  readonly deadline: number;
  slot: number;
  before: Self | undefined;
  after: Self | undefined;
}

const TICK_MS = 20;
const SLOTS = 1024;

/**
 * Deadlines of very many calls under one timer: a hashed timing wheel (Varghese and Lauck 1987). Adding and
 * removing cost a few assignments; an entry expires at most one tick late. The timer runs only while there
 * are entries.
 */
export class DeadlineWheel<Entry extends Expiring<Entry>> {
  readonly #clock: Clock;
  readonly #expired: (entry: Entry) => void;
  readonly #slots: (Entry | undefined)[] = new Array(SLOTS).fill(undefined);
  #size = 0;
  #tick = 0;
  /** A wheel that was emptied and filled again has a timer already. */
  #armed = false;

  /** `expired` is told each entry whose deadline has come; the wheel has let go of it by then. */
  constructor(clock: Clock, expired: (entry: Entry) => void) {
    this.#clock = clock;
    this.#expired = expired;
  }

  get size(): number {
    return this.#size;
  }

  add(entry: Entry, now: number): void {
    this.#size++;
    if (!this.#armed) {
      this.#tick = Math.floor(now / TICK_MS);
      this.#arm();
    }
    // One that is due already goes where the wheel comes next.
    const slot = Math.max(Math.floor(entry.deadline / TICK_MS), this.#tick + 1) % SLOTS;
    const head = this.#slots[slot];
    entry.slot = slot;
    entry.before = undefined;
    entry.after = head;
    if (head) head.before = entry;
    this.#slots[slot] = entry;
  }

  /** Takes an entry out; nothing happens when it is in no slot. */
  remove(entry: Entry): void {
    if (entry.slot < 0) return;
    const { before, after } = entry;
    if (before) before.after = after;
    else this.#slots[entry.slot] = after;
    if (after) after.before = before;
    entry.slot = -1;
    entry.before = entry.after = undefined;
    this.#size--;
  }

  #arm(): void {
    this.#armed = true;
    this.#clock.after(TICK_MS, () => this.#turn());
  }

  #turn(): void {
    const now = this.#clock.now();
    const until = Math.floor(now / TICK_MS);
    const first = Math.max(this.#tick, until - SLOTS + 1);
    for (let tick = first; tick <= until; tick++) this.#sweep(tick % SLOTS, now);
    this.#tick = until;
    this.#armed = false;
    if (this.#size > 0) this.#arm();
  }

  #sweep(slot: number, now: number): void {
    const due: Entry[] = [];
    for (let entry = this.#slots[slot]; entry; entry = entry.after)
      if (entry.deadline <= now) due.push(entry);
    for (const entry of due) {
      if (entry.slot < 0) continue;
      this.remove(entry);
      this.#expired(entry);
    }
  }
}
