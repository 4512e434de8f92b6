import type { NextTick, StoredReminder } from '../storage/reminder-store.ts';

/** How far ahead owners look: who sets something that is due later need not tell them. */
export const AHEAD_MS = 15_000;

/** What is to be done about one reminder. */
export interface DueEntry {
  /** Names the reminder: two entries of one name are about the same. */
  readonly key: string;
  readonly reminder: StoredReminder;
  /** When it is to be done, in wall-clock milliseconds. */
  readonly at: number;
  /** Grows with everything that this silo hears: of two entries about one reminder the later is right. */
  readonly heard: number;
  /** The tick has been made; only the store does not know yet what comes next. */
  readonly made: Made | undefined;
}

/** What the store is to be told of a tick: what comes next, or that nothing does. */
export interface Made {
  readonly next: NextTick | undefined;
}

/**
 * What is due soon, the soonest first, with one entry for each reminder: a binary heap, in which an entry
 * that has been replaced or dropped stays until it comes up, or until such entries are the most.
 */
export class DueQueue {
  readonly #entries = new Map<string, DueEntry>();
  #heap: DueEntry[] = [];
  #latest = Number.NEGATIVE_INFINITY;

  /** Nothing here is to be done later than this. */
  get latest(): number {
    return this.#latest;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): DueEntry | undefined {
    return this.#entries.get(key);
  }

  /** Puts an entry in place of the one of its key. */
  put(entry: DueEntry): void {
    this.#entries.set(entry.key, entry);
    this.#latest = Math.max(this.#latest, entry.at);
    this.#heap.push(entry);
    this.#rise(this.#heap.length - 1);
    if (this.#heap.length > 2 * this.#entries.size + SPARE) this.#rebuild();
  }

  drop(key: string): void {
    this.#entries.delete(key);
  }

  /** The one that is due first. */
  peek(): DueEntry | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || this.#entries.get(first.key) === first) return first;
      this.#removeFirst();
    }
  }

  /** Takes the one that is due first. */
  take(): DueEntry | undefined {
    const first = this.peek();
    if (first === undefined) return undefined;
    this.#removeFirst();
    this.#entries.delete(first.key);
    return first;
  }

  /**
   * Lets go of all but the `count` that are due first, and those whose tick has been made. Returns when the
   * first of what went is due.
   */
  shed(count: number): number {
    const inOrder = [...this.#entries.values()].sort((a, b) => a.at - b.at);
    const late = inOrder.slice(count).filter(({ made }) => !made);
    for (const { key } of late) this.#entries.delete(key);
    this.#rebuild();
    this.#latest = this.#heap.at(-1)?.at ?? Number.NEGATIVE_INFINITY;
    return late[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  all(): IterableIterator<DueEntry> {
    return this.#entries.values();
  }

  clear(): void {
    this.#entries.clear();
    this.#heap = [];
  }

  #removeFirst(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink(0);
  }

  #rebuild(): void {
    this.#heap = [...this.#entries.values()].sort((a, b) => a.at - b.at);
  }

  #rise(from: number): void {
    const heap = this.#heap;
    const entry = heap[from] as DueEntry;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((heap[parent] as DueEntry).at <= entry.at) break;
      heap[at] = heap[parent] as DueEntry;
      at = parent;
    }
    heap[at] = entry;
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const entry = heap[from] as DueEntry;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as DueEntry).at < (heap[child] as DueEntry).at) child++;
      if ((heap[child] as DueEntry).at >= entry.at) break;
      heap[at] = heap[child] as DueEntry;
      at = child;
    }
    heap[at] = entry;
  }
}

/** Entries that may have been replaced before it is worth clearing up. */
const SPARE = 64;
