import type { Clock, Timer } from '../system/clock.ts';
import type { Cell, CellName, EventLogSession, LoggedEvent, LogReader, NewEvent } from './event-log.ts';
import type { Change, MemoryLog } from './memory-log.ts';

/** How a node reaches a log in memory: at once, or over a network that loses and delays. */
export interface Road {
  /** Asks something of the log. */
  ask<T>(changes: boolean, act: () => T): Promise<T>;
  /** Calls back when the log may have changed; may be late, and may be forgotten. */
  onChange(wake: (change: Change) => void): () => void;
}

/** How long a reader waits before it looks again, in case it was not told of a change. */
const LOOK_MS = 1_000;

/** One node's use of a log in memory. */
export class MemorySession implements EventLogSession {
  readonly #log: MemoryLog;
  readonly #road: Road;
  readonly #clock: Clock;
  readonly #readers = new Set<MemoryReader<Sized>>();
  #stopListening: (() => void) | undefined;

  constructor(log: MemoryLog, road: Road, clock: Clock) {
    this.#log = log;
    this.#road = road;
    this.#clock = clock;
    this.#stopListening = road.onChange((change) => {
      for (const reader of this.#readers) if (reader.awaits(change)) reader.wake();
    });
  }

  shards(topic: string): Promise<number> {
    return this.#road.ask(false, () => this.#log.shards(topic));
  }

  append(topic: string, shard: number, event: NewEvent): Promise<number> {
    return this.#road.ask(true, () => this.#log.append(topic, shard, event, this.#clock.wallNow()));
  }

  head(topic: string): Promise<number> {
    return this.#road.ask(false, () => this.#log.head(topic));
  }

  headAt(topic: string, at: number): Promise<number> {
    return this.#road.ask(false, () => this.#log.headAt(topic, at));
  }

  first(topic: string, shard: number, key: string, after: number): Promise<LoggedEvent | undefined> {
    return this.#road.ask(false, () => this.#log.first(topic, shard, key, after));
  }

  read(topic: string, shard: number, after: number): LogReader<LoggedEvent> {
    return this.#reader(after, {
      take: (from, max) => this.#log.after(topic, shard, from, max),
      count: (from) => this.#log.countAfter(topic, shard, from),
      place: (event) => event.seq,
      awaits: (change) => 'topic' in change && change.topic === topic && change.shard === shard,
    });
  }

  cell(name: CellName): Promise<Cell | undefined> {
    return this.#road.ask(false, () => this.#log.cell(name));
  }

  writeCell(name: CellName, data: Uint8Array | undefined, revision: number): Promise<number | undefined> {
    return this.#road.ask(true, () => this.#log.writeCell(name, data, revision));
  }

  watch(prefix: CellName): LogReader<Cell> {
    return this.#reader(0, {
      take: (from, max) => this.#log.cellsAfter(prefix, from).slice(0, max),
      count: (from) => this.#log.cellsAfter(prefix, from).length,
      place: (cell) => cell.revision,
      awaits: (change) => 'cell' in change && prefix.every((part, at) => change.cell[at] === part),
    });
  }

  async close(): Promise<void> {
    this.#stopListening?.();
    for (const reader of [...this.#readers]) reader.close();
  }

  #reader<Item extends Sized>(after: number, source: Source<Item>): LogReader<Item> {
    const reader = new MemoryReader(after, source, this.#road, this.#clock, () =>
      this.#readers.delete(reader as unknown as MemoryReader<Sized>),
    );
    this.#readers.add(reader as unknown as MemoryReader<Sized>);
    return reader;
  }
}

interface Sized {
  readonly data: Uint8Array;
}

interface Source<Item> {
  take(after: number, max: number): readonly Item[];
  count(after: number): number;
  place(item: Item): number;
  awaits(change: Change): boolean;
}

class MemoryReader<Item extends Sized> implements LogReader<Item> {
  #after: number;
  readonly #source: Source<Item>;
  readonly #road: Road;
  readonly #clock: Clock;
  readonly #onClose: () => void;
  /** Something may have come since the log was asked last. */
  #changed = true;
  #wake: (() => void) | undefined;
  #timer: Timer | undefined;
  #closed = false;

  constructor(after: number, source: Source<Item>, road: Road, clock: Clock, onClose: () => void) {
    this.#after = after;
    this.#source = source;
    this.#road = road;
    this.#clock = clock;
    this.#onClose = onClose;
  }

  async next(max: number, maxBytes: number): Promise<readonly Item[]> {
    if (!this.#changed) await this.#change();
    if (this.#closed) return [];
    this.#changed = false;
    const take = () => upTo(maxBytes, this.#source.take(this.#after, max));
    const items = await this.#road.ask(false, take);
    if (this.#closed) return [];
    const last = items.at(-1);
    if (last !== undefined) {
      this.#after = this.#source.place(last);
      this.#changed = true;
    }
    return items;
  }

  pending(): Promise<number> {
    return this.#road.ask(false, () => this.#source.count(this.#after));
  }

  awaits(change: Change): boolean {
    return this.#source.awaits(change);
  }

  wake(): void {
    this.#changed = true;
    this.#timer?.cancel();
    this.#wake?.();
    this.#wake = undefined;
  }

  close(): void {
    this.#closed = true;
    this.#onClose();
    this.wake();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#timer = this.#clock.inBackground(LOOK_MS, () => this.wake());
    });
  }
}

/** The first ones that have no more bytes together, and at least one. */
function upTo<Item extends Sized>(maxBytes: number, items: readonly Item[]): readonly Item[] {
  let bytes = 0;
  const over = items.findIndex(({ data }) => {
    bytes += data.length;
    return bytes > maxBytes;
  });
  return over < 0 ? items : items.slice(0, Math.max(1, over));
}
