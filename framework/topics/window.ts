import { LIMITS } from '../limits.ts';

/** How far a reader of a shard has come: what it must know to go on where another has stopped. */
export interface Position {
  /** All events up to this one have been handled, or put aside. */
  readonly floor: number;
  /** Those beyond it that have been handled already. */
  readonly done: readonly number[];
  /** Failed attempts of those that have not: number and attempts, in turn. */
  readonly failed: readonly number[];
}

/** An event that is under way. */
export interface Entry {
  readonly seq: number;
  readonly lane: string;
  readonly data: Uint8Array;
  readonly publishedAt: number;
  /** Failed attempts so far. */
  failed: number;
  done: boolean;
}

/**
 * What one shard has under way to one kind of subscriber: several lanes side by side, in each one event after
 * the other. The events of a key are a lane, so they are handled in order; keys do not wait for each other,
 * until the window is full. Pure: it delivers nothing itself.
 *
 * Every reader begins at a floor, and hands on an event only when those before it in its lane have been
 * handled. So the first handling of any event comes after that of the one before it, also while two silos
 * take themselves for the reader of one shard: each of them keeps the order, from a floor that is true for
 * both.
 */
export class Window {
  /** By number; the first is the first one beyond the floor that is not done. */
  #entries: Entry[] = [];
  readonly #lanes = new Map<string, Entry[]>();
  /** Of a reader before this one: handled, and not read again yet. */
  readonly #doneBefore: Set<number>;
  readonly #failedBefore = new Map<number, number>();
  #floor: number;
  #last: number;
  #unfinished = 0;
  #bytes = 0;

  constructor({ floor, done, failed }: Position) {
    this.#floor = floor;
    this.#last = floor;
    this.#doneBefore = new Set(done);
    for (let at = 0; at + 1 < failed.length; at += 2) {
      this.#failedBefore.set(failed[at] as number, failed[at + 1] as number);
    }
  }

  get floor(): number {
    return this.#floor;
  }

  /** The last one that was taken. */
  get last(): number {
    return this.#last;
  }

  /** Events that are under way. */
  get running(): number {
    return this.#lanes.size;
  }

  /** Events that are under way, or wait behind one of their lane. */
  get unfinished(): number {
    return this.#unfinished;
  }

  /** How many more events may be read now. */
  get room(): number {
    if (this.#bytes >= LIMITS.topicWindowBytes) return 0;
    return Math.min(LIMITS.topicWindow - this.#unfinished, LIMITS.topicSpan - this.#entries.length);
  }

  /** Takes the next event that was read. Returns what can be delivered now: the event, or nothing. */
  take(event: Pick<Entry, 'seq' | 'lane' | 'data' | 'publishedAt'>): Entry | undefined {
    const { seq, lane } = event;
    if (seq <= this.#last) return undefined;
    this.#last = seq;
    const done = this.#doneBefore.delete(seq);
    const entry: Entry = { ...event, failed: this.#failedBefore.get(seq) ?? 0, done };
    this.#failedBefore.delete(seq);
    this.#entries.push(entry);
    if (done) {
      this.#raiseFloor();
      return undefined;
    }
    this.#unfinished++;
    this.#bytes += entry.data.length;
    const waiting = this.#lanes.get(lane);
    if (waiting) waiting.push(entry);
    else this.#lanes.set(lane, [entry]);
    return waiting ? undefined : entry;
  }

  /** The event was handled, or put aside. Returns what can be delivered now: the next one of its lane. */
  finish(entry: Entry): Entry | undefined {
    entry.done = true;
    this.#unfinished--;
    this.#bytes -= entry.data.length;
    const lane = this.#lanes.get(entry.lane) as Entry[];
    lane.shift();
    if (lane.length === 0) this.#lanes.delete(entry.lane);
    this.#raiseFloor();
    return lane[0];
  }

  position(): Position {
    const done = this.#entries.filter((entry) => entry.done).map(({ seq }) => seq);
    const failed = this.#entries.filter((entry) => !entry.done && entry.failed > 0);
    return {
      floor: this.#floor,
      done: [...done, ...this.#doneBefore],
      failed: [
        ...failed.flatMap(({ seq, failed: times }) => [seq, times]),
        ...[...this.#failedBefore].flat(),
      ],
    };
  }

  #raiseFloor(): void {
    let handled = 0;
    while (this.#entries[handled]?.done) handled++;
    if (handled === 0) return;
    this.#floor = (this.#entries[handled - 1] as Entry).seq;
    this.#entries.splice(0, handled);
  }
}
