import { setMaxListeners } from 'node:events';
import { EventLogError, GranaryError, InvalidConfigError, PayloadTooLargeError } from '../errors.ts';
import { checkTopic } from '../grain/check-subscriptions.ts';
import { canonicalKey, type GrainKey } from '../identity/grain-id.ts';
import { LIMITS } from '../limits.ts';
import { pack } from '../serialization/codec.ts';
import { type Clock, sleep, type Timer } from '../system/clock.ts';
import type { Random } from '../system/random.ts';
import type { EventLogSession } from './event-log.ts';
import { isDeadTopic, shardOf } from './names.ts';

export interface PublisherDoors {
  readonly clock: Clock;
  readonly random: Random;
}

/** Between two attempts, at least and at most; doubles each time. */
const AGAIN_MS = 50;
const AGAIN_MAX_MS = 1_000;
/** A log knows an id for two minutes: what is tried for longer could be there twice. */
const LONGEST_MS = 100_000;

/** Puts events into a log, and tries again what may have been lost, as the same event. */
export class Publisher {
  readonly #session: EventLogSession;
  readonly #doors: PublisherDoors;
  readonly #shards = new Map<string, number>();
  readonly #stopped = new AbortController();

  constructor(session: EventLogSession, doors: PublisherDoors) {
    this.#session = session;
    this.#doors = doors;
    setMaxListeners(0, this.#stopped.signal); // one for each event that is under way
  }

  /**
   * Resolves to the event's number when the log has it. Rejects with `EventLogError` at the deadline (on this
   * node's clock), and at once with what is wrong with topic, key or event.
   */
  publish(topic: string, key: GrainKey, event: unknown, deadline: number): Promise<number> {
    try {
      checkTopic('publish', topic);
      if (isDeadTopic(topic)) {
        throw new InvalidConfigError(`publish: '${topic}' has what was put aside; nobody publishes there`);
      }
      const canonical = canonicalKey(topic, key);
      const data = packEvent(topic, canonical, event);
      return this.append(topic, canonical, data, this.#doors.random.id(), deadline);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Appends what is packed already, under an id: however often it is appended, the log has it once. */
  async append(topic: string, key: string, data: Uint8Array, id: string, deadline: number): Promise<number> {
    const { clock, random } = this.#doors;
    const until = Math.min(deadline, clock.now() + LONGEST_MS);
    let failure: unknown;
    for (let againMs = AGAIN_MS; ; againMs = Math.min(2 * againMs, AGAIN_MAX_MS)) {
      const leftMs = until - clock.now();
      if (leftMs <= 0 || this.#stopped.signal.aborted) throw this.#failed(topic, failure);
      try {
        return await this.#within(leftMs, this.#attempt(topic, key, data, id));
      } catch (error) {
        if (!(error instanceof EventLogError)) throw error;
        failure = error;
      }
      await sleep(
        clock,
        Math.min(againMs * (0.5 + random.next()), until - clock.now()),
        this.#stopped.signal,
      );
    }
  }

  /** What waits fails. */
  stop(): void {
    this.#stopped.abort();
  }

  /** The number of shards of a topic, which exists from then on. */
  async shards(topic: string): Promise<number> {
    const known = this.#shards.get(topic);
    if (known !== undefined) return known;
    const shards = await this.#session.shards(topic);
    this.#shards.set(topic, shards);
    return shards;
  }

  async #attempt(topic: string, key: string, data: Uint8Array, id: string): Promise<number> {
    const shards = await this.shards(topic);
    try {
      return await this.#session.append(topic, shardOf(key, shards), { key, data, id });
    } catch (error) {
      this.#shards.delete(topic); // if somebody has removed the topic, it is made anew
      throw error;
    }
  }

  #within<T>(ms: number, attempt: Promise<T>): Promise<T> {
    const { signal } = this.#stopped;
    let timer: Timer | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      const giveUp = () => reject(new EventLogError('the log has not answered'));
      timer = this.#doors.clock.after(ms, giveUp);
      signal.addEventListener('abort', giveUp, { once: true });
      attempt.finally(() => signal.removeEventListener('abort', giveUp)).catch(() => {});
    });
    return Promise.race([attempt, late]).finally(() => timer?.cancel());
  }

  #failed(topic: string, cause: unknown): EventLogError {
    const why = this.#stopped.signal.aborted
      ? 'this node stopped'
      : 'the log did not take it by the deadline';
    const reason = cause instanceof GranaryError ? ` (${cause.message})` : '';
    return new EventLogError(`publish to '${topic}': ${why}${reason}; whether it has it is unknown`, {
      cause,
    });
  }
}

/** An event with its key, which logs cut short or do not keep. */
export function packEvent(topic: string, key: string, event: unknown): Uint8Array {
  const data = pack([key, event], 'event');
  if (data.length <= LIMITS.eventBytes) return data;
  throw new PayloadTooLargeError(
    `publish to '${topic}': the event has ${data.length} bytes, the limit is ${LIMITS.eventBytes}; ` +
      'put what is large into a store and publish its name',
  );
}
