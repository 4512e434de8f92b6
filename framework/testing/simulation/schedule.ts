import type { Timer } from '../../system/clock.ts';
import type { Host } from './host.ts';

/** Something that will happen to one host. Cancelling takes it out; what has happened cannot be cancelled. */
export class Happening implements Timer {
  /** Virtual milliseconds. */
  at: number;
  readonly order: number;
  readonly host: Host;
  /** What to do; gone when it was cancelled or has been done. */
  act: (() => void) | undefined;
  readonly #forgotten: (() => void) | undefined;

  constructor(at: number, order: number, host: Host, act: () => void, forgotten?: () => void) {
    this.at = at;
    this.order = order;
    this.host = host;
    this.act = act;
    this.#forgotten = forgotten;
  }

  cancel(): void {
    if (!this.act) return;
    this.act = undefined;
    this.#forgotten?.();
  }

  /** What to do, once. */
  take(): (() => void) | undefined {
    const act = this.act;
    this.cancel();
    return act;
  }
}

/**
 * All that is still to happen, in a binary heap by time. What is due at the same time happens in the order in
 * which it was planned.
 */
export class Schedule {
  readonly #heap: Happening[] = [];
  #order = 0;

  plan(at: number, host: Host, act: () => void, forgotten?: () => void): Happening {
    const happening = new Happening(at, ++this.#order, host, act, forgotten);
    this.replan(happening);
    return happening;
  }

  /** Puts back what was taken out, at its present time; it keeps its place among those of the same time. */
  replan(happening: Happening): void {
    const heap = this.#heap;
    let index = heap.push(happening) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent] as Happening;
      if (!isBefore(happening, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = happening;
  }

  /** Takes out what comes next; undefined when nothing does. */
  next(): Happening | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (!first) return undefined;
      this.#removeFirst();
      if (first.act) return first;
    }
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop() as Happening;
    const length = heap.length;
    if (length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= length) break;
      if (child + 1 < length && isBefore(heap[child + 1] as Happening, heap[child] as Happening)) child++;
      if (!isBefore(heap[child] as Happening, last)) break;
      heap[index] = heap[child] as Happening;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(one: Happening, other: Happening): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
