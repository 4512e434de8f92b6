import type { Cell, CellName, LoggedEvent, NewEvent } from './event-log.ts';

export interface MemoryLogOptions {
  readonly shards: number;
  /** Events of a topic that are kept. */
  readonly maxEvents: number;
}

/** What an append or a write has changed. */
export type Change = { readonly topic: string; readonly shard: number } | { readonly cell: CellName };

interface Topic {
  readonly shards: Stored[][];
  /** The number of each id, in the order in which they came. */
  readonly ids: Map<string, number>;
  last: number;
  size: number;
}

interface Stored extends LoggedEvent {
  readonly key: string;
}

/**
 * Topics and cells in memory, at once and without waiting: what logs inside a process and in a simulation
 * have in common.
 */
export class MemoryLog {
  readonly #options: MemoryLogOptions;
  readonly #topics = new Map<string, Topic>();
  readonly #cells = new Map<string, Cell>();
  readonly #listeners = new Set<(change: Change) => void>();
  #revision = 0;

  constructor(options: MemoryLogOptions) {
    this.#options = options;
  }

  /** Told of every change. Returns how to stop. */
  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  shards(topic: string): number {
    return this.#topic(topic).shards.length;
  }

  append(name: string, shard: number, { key, data, id }: NewEvent, now: number): number {
    const topic = this.#topic(name);
    const known = topic.ids.get(id);
    if (known !== undefined) return known;
    const seq = ++topic.last;
    topic.ids.set(id, seq);
    this.#shard(topic, shard).push({ seq, key, data: data.slice(), publishedAt: now });
    if (++topic.size > this.#options.maxEvents) this.#dropOldest(topic);
    this.#changed({ topic: name, shard });
    return seq;
  }

  head(topic: string): number {
    return this.#topic(topic).last;
  }

  headAt(name: string, at: number): number {
    const seqs = this.#topic(name).shards.map((shard) => shard.find((event) => event.publishedAt >= at)?.seq);
    const first = Math.min(...seqs.map((seq) => seq ?? Number.POSITIVE_INFINITY));
    return Number.isFinite(first) ? first - 1 : this.head(name);
  }

  first(topic: string, shard: number, key: string, after: number): LoggedEvent | undefined {
    const events = this.#shard(this.#topic(topic), shard);
    for (let at = indexAfter(events, after); at < events.length; at++) {
      if (events[at]?.key === key) return events[at];
    }
    return undefined;
  }

  after(topic: string, shard: number, after: number, max: number): LoggedEvent[] {
    const events = this.#shard(this.#topic(topic), shard);
    const from = indexAfter(events, after);
    return events.slice(from, from + max);
  }

  countAfter(topic: string, shard: number, after: number): number {
    const events = this.#shard(this.#topic(topic), shard);
    return events.length - indexAfter(events, after);
  }

  cell(name: CellName): Cell | undefined {
    const cell = this.#cells.get(textOf(name));
    return cell && cell.data.length > 0 ? cell : undefined;
  }

  writeCell(name: CellName, data: Uint8Array | undefined, revision: number): number | undefined {
    if ((this.cell(name)?.revision ?? 0) !== revision) return undefined;
    const text = textOf(name);
    this.#cells.delete(text); // so that those changed last are the last
    this.#cells.set(text, { name: [...name], data: data?.slice() ?? NOTHING, revision: ++this.#revision });
    this.#changed({ cell: name });
    return this.#revision;
  }

  /** The cells whose names begin so, and that were changed after a revision, in that order. */
  cellsAfter(prefix: CellName, revision: number): Cell[] {
    return [...this.#cells.values()].filter(
      (cell) => cell.revision > revision && prefix.every((part, index) => cell.name[index] === part),
    );
  }

  #topic(name: string): Topic {
    let topic = this.#topics.get(name);
    if (!topic) {
      const shards = Array.from({ length: this.#options.shards }, (): Stored[] => []);
      topic = { shards, ids: new Map(), last: 0, size: 0 };
      this.#topics.set(name, topic);
    }
    return topic;
  }

  #shard(topic: Topic, shard: number): Stored[] {
    const events = topic.shards[shard];
    if (events) return events;
    throw new RangeError(`there is no shard ${shard}; there are ${topic.shards.length}`);
  }

  #dropOldest(topic: Topic): void {
    const [shard] = topic.shards
      .filter((events) => events.length > 0)
      .sort(([a], [b]) => (a as Stored).seq - (b as Stored).seq);
    shard?.shift();
    topic.size--;
    const [oldest] = topic.ids.keys();
    topic.ids.delete(oldest as string);
  }

  #changed(change: Change): void {
    for (const listener of [...this.#listeners]) listener(change);
  }
}

const NOTHING = new Uint8Array();

/** No part has a line break that is not escaped by whoever made it: keys are canonical. */
function textOf(name: CellName): string {
  return name.join('\n');
}

/** Index of the first event with a larger number. */
function indexAfter(events: readonly LoggedEvent[], after: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((events[middle] as LoggedEvent).seq > after) high = middle;
    else low = middle + 1;
  }
  return low;
}
