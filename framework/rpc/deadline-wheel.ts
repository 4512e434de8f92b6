import type { Clock } from '../system/clock.ts';

/**
 * Something with a deadline, a link in the wheel's lists. `slot` (-1: in none) and the links are the wheel's
 * own.
 */
export interface Expiring {
  readonly deadline: number;
  slot: number;
  before: Expiring | undefined;
  after: Expiring | undefined;
  expire(): void;
}

const TICK_MS = 20;
const SLOTS = 1024;

/**
 * Deadlines of very many calls under one timer: a hashed timing wheel (Varghese and Lauck 1987). Adding and
 * removing cost a few assignments; an entry expires at most one tick late. The timer runs only while there
 * are entries.
 */
export class DeadlineWheel {
  readonly #clock: Clock;
  readonly #slots: (Expiring | undefined)[] = new Array(SLOTS).fill(undefined);
  #size = 0;
  #tick = 0;
  /** A wheel that was emptied and filled again has a timer already. */
  #armed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#size;
  }

  add(entry: Expiring): void {
    this.#size++;
    if (!this.#armed) {
      this.#tick = Math.floor(this.#clock.now() / TICK_MS);
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
  remove(entry: Expiring): void {
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
    const due: Expiring[] = [];
    for (let entry = this.#slots[slot]; entry; entry = entry.after)
      if (entry.deadline <= now) due.push(entry);
    for (const entry of due) {
      if (entry.slot < 0) continue;
      this.remove(entry);
      entry.expire();
    }
  }
}
