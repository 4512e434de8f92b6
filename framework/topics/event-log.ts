import type { Clock } from '../system/clock.ts';

/**
 * The door to durable events, beside `Transport` and `GrainStore`.
 *
 * A log has topics; a topic has shards, whose number is fixed when it is made; a shard is a sequence of
 * events. Each event gets a number that is larger than those of all events before it in its shard. Beside the
 * topics a log has *cells*: small named values, each with a revision that a write must name, for what those
 * who read must remember.
 *
 * A log knows nothing of grains. Who reads what, in which order it is handled and what has been handled is
 * decided above; so a log needs no acknowledgements, and no timers of its own for those who do not come back.
 */
export interface EventLog {
  /**
   * Connects a silo or a client of a cluster. Rejects with `InvalidConfigError`, or with `EventLogError` when
   * the log cannot be reached.
   */
  open(options: EventLogOpenOptions): Promise<EventLogSession>;
}

export interface EventLogOpenOptions {
  readonly cluster: string;
  readonly clock: Clock;
}

/** An event as it lies in a log. */
export interface LoggedEvent {
  /** Larger than those before it in its shard. The next one need not be larger by one. */
  readonly seq: number;
  readonly data: Uint8Array;
  /** When the log took it, in wall-clock milliseconds. */
  readonly publishedAt: number;
}

export interface NewEvent {
  /** Events of one key are in one shard. */
  readonly key: string;
  readonly data: Uint8Array;
  /** Names this event: of several appended with one id within two minutes, one stays. */
  readonly id: string;
}

/** A small named value. */
export interface Cell {
  readonly name: CellName;
  readonly data: Uint8Array;
  /** Grows with each write. */
  readonly revision: number;
}

export type CellName = readonly string[];

/**
 * One node's use of a log. Every method may reject with `EventLogError`; after an `append` or `writeCell`
 * that did, the outcome is unknown. What a log cannot take, it refuses with `PayloadTooLargeError`.
 */
export interface EventLogSession {
  /**
   * The number of shards of a topic, which is made when there is none. Rejects with `InvalidConfigError` when
   * the log was told another number than the topic has.
   */
  shards(topic: string): Promise<number>;
  /** Resolves to the event's number when the log has it. The topic exists. */
  append(topic: string, shard: number, event: NewEvent): Promise<number>;
  /** The largest number given in a topic; 0 before the first. */
  head(topic: string): Promise<number>;
  /** The largest number of those that the topic took before a time (wall clock). */
  headAt(topic: string, at: number): Promise<number>;
  /** The first event of a key after a number. It may be one of another key, of which the log thinks it is. */
  first(topic: string, shard: number, key: string, after: number): Promise<LoggedEvent | undefined>;
  /** Reads a shard's events from after a number on, and waits for those to come. */
  read(topic: string, shard: number, after: number): LogReader<LoggedEvent>;
  cell(name: CellName): Promise<Cell | undefined>;
  /**
   * Writes a cell if its revision is `revision`; 0: if there is none. Undefined removes it. Resolves to the
   * new revision, or to undefined when somebody else has written.
   */
  writeCell(name: CellName, data: Uint8Array | undefined, revision: number): Promise<number | undefined>;
  /** The cells whose names begin so, then each change of one. A cell that was removed has no data. */
  watch(prefix: CellName): LogReader<Cell>;
  /** Readers end, and what is under way is finished. Never rejects. */
  close(): Promise<void>;
}

/** Reads at the pace of its user: asks the log for no more than was asked of it. */
export interface LogReader<Item> {
  /**
   * The next ones, at most `max` and about `maxBytes`, but one at least; none when none came for a while, or
   * when it is closed.
   */
  next(max: number, maxBytes: number): Promise<readonly Item[]>;
  /** How many there are that `next` has not given yet. */
  pending(): Promise<number>;
  close(): void;
}

/** Whether a value that somebody passes as a log can be one. */
export function isEventLog(log: unknown): log is EventLog {
  return typeof (log as Partial<EventLog> | null | undefined)?.open === 'function';
}
