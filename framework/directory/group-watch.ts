import type { Clock, Timer } from '../system/clock.ts';

/** One look at a group: who has come and gone since the look before, and who is there. */
export interface GroupChange {
  readonly joined: readonly string[];
  readonly left: readonly string[];
  readonly members: readonly string[];
}

/**
 * How often a group is looked at on the silo of a replica; a silo that keeps the group itself looks at each
 * change at once.
 */
const LOOK_MS = 250;

/**
 * Watches one group. Each item is the difference to the item before, so a slow reader gets one summary
 * instead of a backlog; the first item is the membership at the start.
 */
export class GroupWatch implements AsyncIterableIterator<GroupChange> {
  readonly group: string;
  readonly #clock: Clock;
  readonly #ask: () => Promise<string[]>;
  readonly #ended: () => void;
  #known: readonly string[] | undefined;
  #latest: readonly string[] | undefined;
  #looking = false;
  #again = false;
  #done = false;
  #timer: Timer | undefined;
  #waiter: ((result: IteratorResult<GroupChange>) => void) | undefined;

  constructor(group: string, clock: Clock, ask: () => Promise<string[]>, ended: () => void) {
    this.group = group;
    this.#clock = clock;
    this.#ask = ask;
    this.#ended = ended;
    this.look();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Looks at the group now. */
  look(): void {
    if (this.#done) return;
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = true;
    this.#timer?.cancel();
    this.#ask()
      .then(
        (members) => {
          this.#latest = members;
          this.#offer();
        },
        () => {}, // no replica can be asked now: the next look is on its way
      )
      .finally(() => {
        this.#looking = false;
        if (this.#again) {
          this.#again = false;
          this.look();
        } else if (!this.#done) {
          this.#timer = this.#clock.inBackground(LOOK_MS, () => this.look());
        }
      });
  }

  next(): Promise<IteratorResult<GroupChange>> {
    if (this.#done) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#waiter = resolve;
      this.#offer();
    });
  }

  async return(): Promise<IteratorResult<GroupChange>> {
    this.#done = true;
    this.#timer?.cancel();
    this.#ended();
    this.#waiter?.({ done: true, value: undefined });
    this.#waiter = undefined;
    return { done: true, value: undefined };
  }

  #offer(): void {
    if (!this.#waiter || !this.#latest) return;
    const before = new Set(this.#known ?? []);
    const now = new Set(this.#latest);
    const joined = this.#latest.filter((id) => !before.has(id));
    const left = (this.#known ?? []).filter((id) => !now.has(id));
    if (this.#known && joined.length + left.length === 0) return;
    this.#known = this.#latest;
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter({ done: false, value: { joined, left, members: this.#latest } });
  }
}
