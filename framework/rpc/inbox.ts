import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Clock } from '../system/clock.ts';

/** A frame of which some items wait. */
interface Batch {
  readonly from: NodeAddress;
  readonly frame: readonly unknown[];
  /** The item that is next. */
  next: number;
}

/**
 * Items taken in before the event loop goes round. Enough to spread what a frame costs, whatever is in it;
 * few enough that the answers to the first leave long before the last has been looked at.
 */
const SLICE = 256;

/**
 * Takes in what has arrived, in slices. Two processes that have much to say to each other would take turns
 * otherwise: one works on a large frame while the other has nothing to do, then sends all its answers as
 * another large frame, and waits. In slices the answers to the first calls leave while the rest still waits,
 * and both work. It also lets heartbeats through.
 *
 * What waits is bounded: beyond that, items are taken in where they come. The network is not read meanwhile,
 * which holds up those who send too much.
 */
export class Inbox {
  readonly #clock: Clock;
  readonly #take: (from: NodeAddress, item: unknown) => void;
  readonly #batches: Batch[] = [];
  /** Items that wait. */
  #items = 0;
  /** Items that may still be taken in before the event loop goes round. */
  #left = SLICE;
  /** That is made full again at the end of the tick. */
  #renewing = false;
  /** The last slice was used up, and there is more. */
  #waiting = false;
  #closed = false;

  constructor(clock: Clock, take: (from: NodeAddress, item: unknown) => void) {
    this.#clock = clock;
    this.#take = take;
  }

  /** The items of a frame, from an index on. */
  add(from: NodeAddress, frame: readonly unknown[], next: number): void {
    if (this.#closed) return;
    this.#batches.push({ from, frame, next });
    this.#items += frame.length - next;
    if (this.#items > LIMITS.inbox) {
      this.#left += this.#items - LIMITS.inbox;
      this.#takeItems();
    }
    if (!this.#waiting) this.#takeSlice();
  }

  /** From now on nothing waits: the node is about to go. */
  stopSlicing(): void {
    this.#left = Number.POSITIVE_INFINITY;
    this.#waiting = false;
    this.#takeSlice();
  }

  /** Takes in nothing more, nor what waits: the node is gone. */
  close(): void {
    this.#closed = true;
    this.#batches.length = 0;
    this.#items = 0;
  }

  /** Takes in as many as may be now. */
  #takeItems(): void {
    for (let batch = this.#batches[0]; batch && this.#left > 0; batch = this.#batches[0]) {
      const end = Math.min(batch.frame.length, batch.next + this.#left);
      this.#left -= end - batch.next;
      this.#items -= end - batch.next;
      if (end === batch.frame.length) this.#batches.shift();
      while (batch.next < end) this.#take(batch.from, batch.frame[batch.next++]);
    }
  }

  #takeSlice(): void {
    this.#takeItems();
    if (this.#left === Number.POSITIVE_INFINITY) return;
    this.#waiting = this.#batches.length > 0;
    if (this.#waiting) this.#clock.afterIO(this.#goOn);
    else if (!this.#renewing) {
      this.#renewing = true;
      this.#clock.defer(this.#renew);
    }
  }

  readonly #goOn = (): void => {
    this.#refill();
    this.#takeSlice();
  };

  /** What has come in one go has been looked at. */
  readonly #renew = (): void => {
    this.#renewing = false;
    if (!this.#waiting) this.#refill();
  };

  /** There may be more left than a slice: all, before the node goes. */
  #refill(): void {
    this.#left = Math.max(this.#left, SLICE);
  }
}
