import { setMaxListeners } from 'node:events';
import type { Caller } from '../grain/reference.ts';
import { grainIdOf } from '../identity/grain-id.ts';
import { LIMITS } from '../limits.ts';
import type { RuntimeEvents } from '../observability/events.ts';
import { type Clock, sleep } from '../system/clock.ts';
import type { Random } from '../system/random.ts';
import { Checkpoint } from './checkpoint.ts';
import { type Delivery, type DeliveryRule, unpackEvent } from './delivery.ts';
import type { CellName, EventLogSession, LoggedEvent, LogReader } from './event-log.ts';
import { type Entry, type Position, Window } from './window.ts';

export interface ConsumerDoors {
  readonly clock: Clock;
  readonly random: Random;
  readonly events: RuntimeEvents;
  readonly session: EventLogSession;
  readonly delivery: Delivery;
  readonly caller: Caller;
}

/** One kind of subscriber to one shard. */
export interface Duty {
  readonly rule: DeliveryRule;
  /** Grain type of the subscribers. */
  readonly type: string;
  readonly shard: number;
}

/** How far a consumer is behind. */
export interface Backlog {
  /** Events that are not handled. */
  readonly events: number;
  /** Of these, under way to grains, or to be tried again. */
  readonly underWay: number;
}

/** A position in its cell. */
interface SavedPosition extends Position {
  /** In wall-clock milliseconds; 0: nobody has saved one yet. */
  readonly savedAt: number;
}

/** At most so often it is written down how far a shard has been handled: what a crash repeats. */
const SAVE_MS = 100;
/** Who has had the shard before may still be ending what it has begun. */
const TAKE_OVER_MS = 200;
/** How long what is under way may take to end, when another silo takes the shard over. */
const HAND_OVER_MS = 150;
/** By how much the clocks of silos and of the log may differ. */
const CLOCKS_MS = 60_000;
/** Between two attempts to read, at least and at most; doubles each time. */
const AGAIN_MS = 100;
const AGAIN_MAX_MS = 5_000;

/**
 * Hands the events of one shard to the grains of one type whose keys they have, while this silo has the duty.
 *
 * What has been handled is written into a cell of the log, a little later. Nothing else is needed to go on:
 * the next reader begins at the floor that it finds there (see `Window`). Two silos may believe for a moment
 * that they have the duty. That repeats events, and disorders none.
 */
export class ShardConsumer {
  readonly #doors: ConsumerDoors;
  readonly #duty: Duty;
  /** Where the first reader ever begins. */
  readonly #from: number;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;
  #life: Life | undefined;
  /** No other life follows: what is under way may end. */
  #leaving = false;

  constructor(doors: ConsumerDoors, duty: Duty, from: number) {
    this.#doors = doors;
    this.#duty = duty;
    this.#from = from;
    this.#running = this.#run();
  }

  /** What is not handled; undefined while the log does not answer. */
  backlog(): Promise<Backlog> | undefined {
    return this.#life?.backlog();
  }

  /** Ends what is under way, if it ends soon, and writes down what has been handled. Never rejects. */
  async stop(): Promise<void> {
    this.#leaving = true;
    await this.#life?.windUp(HAND_OVER_MS);
    this.halt();
    await this.#running;
  }

  /** Ends at once. */
  halt(): void {
    this.#stopped.abort();
    this.#life?.end();
  }

  async #run(): Promise<void> {
    const { clock, random, events } = this.#doors;
    const { signal } = this.#stopped;
    for (let againMs = AGAIN_MS; !signal.aborted; againMs = Math.min(2 * againMs, AGAIN_MAX_MS)) {
      try {
        const checkpoint = await this.#checkpoint();
        if (signal.aborted || this.#leaving) return;
        this.#life = new Life(this.#doors, this.#duty, checkpoint);
        await this.#life.run();
        if (this.#leaving) return;
        againMs = AGAIN_MS;
      } catch (error) {
        if (!signal.aborted) events.publish({ type: 'eventLogFailed', topic: this.#duty.rule.topic, error });
      }
      this.#life?.end();
      await sleep(clock, againMs * (0.5 + random.next()), signal);
    }
  }

  async #checkpoint(): Promise<Checkpoint<SavedPosition>> {
    const { session, clock } = this.#doors;
    const { rule, type, shard } = this.#duty;
    const name: CellName = ['position', rule.topic, type, String(shard)];
    const initial = () => ({ floor: this.#from, done: [], failed: [], savedAt: 0 });
    let checkpoint = await Checkpoint.open(session, name, parsePosition, initial);
    if (!this.#life && checkpoint.exists) {
      await sleep(clock, TAKE_OVER_MS, this.#stopped.signal);
      checkpoint = await Checkpoint.open(session, name, parsePosition, initial);
    }
    checkpoint.value = await this.#inLog(checkpoint.value);
    return checkpoint;
  }

  /**
   * A log that has lost events, with a disk or because its topic was removed and made anew, gives their
   * numbers to others. Those have not been handled, and all of them came after the position was saved.
   */
  async #inLog(position: SavedPosition): Promise<SavedPosition> {
    const { session } = this.#doors;
    const { topic } = this.#duty.rule;
    const { floor, done, failed, savedAt } = position;
    const head = await session.head(topic);
    if (Math.max(floor, ...done, ...failed.filter((_, at) => at % 2 === 0)) <= head) return position;
    const before = savedAt === 0 ? 0 : await session.headAt(topic, savedAt - CLOCKS_MS);
    return { floor: Math.min(floor, before), done: [], failed: [], savedAt };
  }
}

/** One reading of the shard, from what was written down on; ends when another reader writes. */
class Life {
  readonly #doors: ConsumerDoors;
  readonly #duty: Duty;
  readonly #checkpoint: Checkpoint<SavedPosition>;
  readonly #window: Window;
  readonly #ended = new AbortController();
  #reader: LogReader<LoggedEvent>;
  #ending = false;
  /** Something was handled that is not written down. */
  #unsaved = false;
  #saving: Promise<void> | undefined;
  #waiting: (() => void)[] = [];

  constructor(doors: ConsumerDoors, duty: Duty, checkpoint: Checkpoint<SavedPosition>) {
    this.#doors = doors;
    this.#duty = duty;
    this.#checkpoint = checkpoint;
    this.#window = new Window(checkpoint.value);
    setMaxListeners(0, this.#ended.signal); // one for each event that is to be tried again
    this.#reader = this.#open();
  }

  /** Resolves when another reader has written, when the log has lost events, or when it was ended. */
  async run(): Promise<void> {
    const { clock, random } = this.#doors;
    for (let againMs = AGAIN_MS; !this.#ending; ) {
      try {
        await this.#read();
        againMs = AGAIN_MS;
      } catch (error) {
        if (this.#ending) break;
        this.#tell(error);
        this.#reader.close();
        await sleep(clock, againMs * (0.5 + random.next()), this.#ended.signal);
        againMs = Math.min(2 * againMs, AGAIN_MAX_MS);
        if (this.#ending || (await this.#isAheadOfLog())) break;
        this.#reader = this.#open();
      }
    }
    await this.#saving;
  }

  /** False while the log does not say. */
  async #isAheadOfLog(): Promise<boolean> {
    const head = await this.#doors.session.head(this.#duty.rule.topic).catch(() => undefined);
    return head !== undefined && head < this.#window.last;
  }

  #open(): LogReader<LoggedEvent> {
    const { rule, shard } = this.#duty;
    return this.#doors.session.read(rule.topic, shard, this.#window.last);
  }

  async #read(): Promise<void> {
    if (this.#window.room <= 0) return this.#change();
    const events = await this.#reader.next(this.#window.room, LIMITS.topicWindowBytes);
    if (this.#ending) return;
    for (const event of events) this.#take(event);
  }

  async backlog(): Promise<Backlog> {
    // First what is not read: what is on its way meanwhile is counted here or there, and not forgotten.
    const pending = await this.#reader.pending();
    const underWay = this.#window.unfinished;
    return { events: underWay + pending, underWay };
  }

  /** Reads no more; waits a little for what is under way, then writes down what has been handled. */
  async windUp(withinMs: number): Promise<void> {
    const { clock } = this.#doors;
    this.#stopReading();
    const until = clock.now() + withinMs;
    while (this.#window.running > 0 && clock.now() < until && !this.#ended.signal.aborted) {
      const late = clock.after(until - clock.now(), () => this.#wake());
      await this.#change();
      late.cancel();
    }
    this.#ended.abort();
    await this.#saving;
    if (this.#unsaved) await this.#save();
  }

  end(): void {
    this.#stopReading();
    this.#ended.abort();
  }

  #stopReading(): void {
    this.#ending = true;
    this.#reader.close();
    this.#wake();
  }

  #take({ seq, data, publishedAt }: LoggedEvent): void {
    const { floor } = this.#window;
    const entry = this.#window.take({ seq, lane: this.#laneOf(data), data, publishedAt });
    if (entry) void this.#deliver(entry);
    else if (this.#window.floor > floor) this.#handled();
  }

  /** The key; events that nobody can read have a lane of their own, on their way to be put aside. */
  #laneOf(data: Uint8Array): string {
    try {
      return unpackEvent(data, this.#doors.caller)[0];
    } catch {
      return '';
    }
  }

  async #deliver(first: Entry): Promise<void> {
    const { delivery } = this.#doors;
    const { rule, type } = this.#duty;
    const { signal } = this.#ended;
    let entry: Entry | undefined = first;
    while (entry && !signal.aborted) {
      const target = grainIdOf(type, entry.lane);
      const handled: boolean = await delivery.deliver(rule, target, entry, signal, () => this.#handled());
      if (!handled) return;
      entry = this.#window.finish(entry);
      if (this.#ending) entry = undefined;
      this.#handled();
    }
  }

  #handled(): void {
    this.#unsaved = true;
    this.#wake();
    if (!this.#ending) this.#saving ??= this.#saveSoon();
  }

  async #saveSoon(): Promise<void> {
    await sleep(this.#doors.clock, SAVE_MS, this.#ended.signal);
    if (!this.#ended.signal.aborted) await this.#save();
    this.#saving = undefined;
    if (this.#unsaved && !this.#ending) this.#saving = this.#saveSoon();
  }

  /** Never rejects: what was not written is written the next time, or handled again. */
  async #save(): Promise<void> {
    this.#unsaved = false;
    try {
      const savedAt = this.#doors.clock.wallNow();
      const written = await this.#checkpoint.write({ ...this.#window.position(), savedAt });
      if (!written) this.end(); // another reader has: what it wrote counts
    } catch (error) {
      this.#unsaved = true;
      this.#tell(error);
    }
  }

  #tell(error: unknown): void {
    this.#doors.events.publish({ type: 'eventLogFailed', topic: this.#duty.rule.topic, error });
  }

  /** Something has been handled, or it is over. */
  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

function parsePosition(value: unknown): SavedPosition | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { floor, done, failed, savedAt } = value as Record<string, unknown>;
  const isNumbers = (list: unknown) => Array.isArray(list) && list.every((n) => Number.isSafeInteger(n));
  return Number.isSafeInteger(floor) && isNumbers(done) && isNumbers(failed) && Number.isFinite(savedAt)
    ? (value as SavedPosition)
    : undefined;
}
