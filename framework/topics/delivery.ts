import { GranaryError, PayloadTooLargeError } from '../errors.ts';
import type { MethodSpec } from '../grain/grain-type.ts';
import type { Caller } from '../grain/reference.ts';
import type { EventMeta } from '../grain/subscribe-options.ts';
import { type GrainId, grainIdOf, readableKey } from '../identity/grain-id.ts';
import type { RuntimeEvents } from '../observability/events.ts';
import { pack, unpack } from '../serialization/codec.ts';
import { MalformedError } from '../serialization/malformed-error.ts';
import { type Clock, sleep } from '../system/clock.ts';
import type { Random } from '../system/random.ts';
import { type DeadLetter, errorFields } from './dead-letter.ts';
import { deadTopicOf, isDeadTopic } from './names.ts';
import type { Publisher } from './publisher.ts';

/** How a class wants its events. */
export interface DeliveryRule {
  readonly topic: string;
  readonly spec: MethodSpec;
  /** Failed attempts after which an event is put aside. */
  readonly tries: number;
}

/** An event to be delivered. */
export interface Delivered {
  readonly seq: number;
  readonly data: Uint8Array;
  readonly publishedAt: number;
  /** Failed attempts so far. */
  failed: number;
}

export interface DeliveryDoors {
  readonly clock: Clock;
  readonly random: Random;
  readonly events: RuntimeEvents;
  readonly caller: Caller;
  readonly publisher: Publisher;
}

/** Between two attempts, at least and at most; doubles each time. */
const AGAIN_MS = 100;
const AGAIN_MAX_MS = 30_000;
/** How long one attempt to put an event aside may take; there is no end to attempts. */
const ASIDE_MS = 10_000;
/**
 * Of these it is not the event that is the cause: they do not count as failed attempts, or an outage would
 * put aside all that was published meanwhile.
 */
const NOT_ITS_FAULT: ReadonlySet<string> = new Set([
  'NO_SILO',
  'SILO_UNAVAILABLE',
  'OVERLOADED',
  'STORE_FAILED',
  'STATE_CONFLICT',
  'EVENT_LOG_FAILED',
]);
/** Of the grain itself: it is on a silo with an older class, which a deployment has not reached yet. */
const MISSING: ReadonlySet<string> = new Set(['GRAIN_TYPE_NOT_FOUND', 'METHOD_NOT_FOUND']);

/** Brings events to grains: each as a call, again and again until it is handled or put aside. */
export class Delivery {
  readonly #doors: DeliveryDoors;

  constructor(doors: DeliveryDoors) {
    this.#doors = doors;
  }

  /**
   * Resolves to true when the grain's turn has ended well or the event is put aside, and to false when
   * `signal` has aborted before. Never rejects. `failed` is told of each attempt that counts.
   */
  async deliver(
    rule: DeliveryRule,
    target: GrainId,
    event: Delivered,
    signal: AbortSignal,
    failed: () => void = () => {},
  ): Promise<boolean> {
    for (let obstacles = 0; !signal.aborted; ) {
      const error = await this.#attempt(rule, target, event);
      if (error === undefined) return true;
      if (signal.aborted) return false;
      const counts = !isObstacle(error, target);
      if (counts) event.failed++;
      else obstacles++;
      const { topic } = rule;
      const attempt = event.failed + obstacles;
      const { events } = this.#doors;
      events.publish({ type: 'eventFailed', topic, grain: target, seq: event.seq, attempt, error });
      if (counts) failed();
      if (event.failed >= rule.tries) return this.#putAside(rule, target, event, error, signal);
      await this.#pause(attempt, signal);
    }
    return false;
  }

  /** One call; what went wrong, or undefined. */
  async #attempt({ topic, spec }: DeliveryRule, target: GrainId, event: Delivered): Promise<unknown> {
    const { caller } = this.#doors;
    const { seq, publishedAt, failed } = event;
    try {
      const [key, value] = unpackEvent(event.data, caller);
      const meta: EventMeta = {
        topic,
        key: readableKey(grainIdOf(topic, key)),
        seq,
        publishedAt,
        attempt: failed + 1,
      };
      const args = [value, meta];
      await caller.invoke({ target, method: spec.name, spec, args, options: undefined });
      return undefined;
    } catch (error) {
      return error ?? new Error(`the handler threw ${String(error)}`);
    }
  }

  /** First into the log of what was put aside, then it counts as handled: a crash in between doubles it. */
  async #putAside(
    { topic }: DeliveryRule,
    grain: GrainId,
    event: Delivered,
    error: unknown,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { events, clock, publisher } = this.#doors;
    const { seq, failed: attempt } = event;
    let fits = true;
    for (let attempts = 1; !signal.aborted; attempts++) {
      try {
        // What could not be handled of what was put aside has nowhere to go: it stays where it is.
        if (!isDeadTopic(topic)) {
          const letter = this.#letter(topic, grain, event, error, fits);
          const id = `${grain} ${topic} ${seq}`;
          await publisher.append(deadTopicOf(topic), letter.key, letter.data, id, clock.now() + ASIDE_MS);
        }
        events.publish({ type: 'eventDeadLettered', topic, grain, seq, attempt, error });
        return true;
      } catch (cause) {
        if (cause instanceof PayloadTooLargeError) fits = false;
        events.publish({ type: 'eventLogFailed', topic: deadTopicOf(topic), error: cause });
        await this.#pause(attempts, signal);
      }
    }
    return false;
  }

  #letter(topic: string, subscriber: GrainId, event: Delivered, error: unknown, fits: boolean) {
    const { seq, publishedAt, failed: attempts } = event;
    const [key, value] = this.#contents(event);
    const fields = { topic, key: readableKey(grainIdOf(topic, key)), seq, publishedAt, subscriber, attempts };
    const letter: DeadLetter = { ...fields, event: fits ? value : undefined, error: errorFields(error) };
    return { key, data: pack([key, letter], 'event') };
  }

  /** The event, or its bytes when nobody can read it. */
  #contents({ data }: Delivered): [key: string, value: unknown] {
    try {
      return unpackEvent(data, this.#doors.caller);
    } catch {
      return ['unreadable', data];
    }
  }

  #pause(attempts: number, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#doors;
    const ms = Math.min(AGAIN_MS * 2 ** (attempts - 1), AGAIN_MAX_MS);
    return sleep(clock, ms * (0.5 + random.next() / 2), signal);
  }
}

/** Whether it is something else than the event that stands in its way. */
function isObstacle(error: unknown, target: GrainId): boolean {
  if (!(error instanceof GranaryError)) return false;
  return NOT_ITS_FAULT.has(error.code) || (MISSING.has(error.code) && error.grain === target);
}

/** What `packEvent` has packed: the canonical key, and the event. */
export function unpackEvent(data: Uint8Array, caller: Caller): [key: string, value: unknown] {
  const pair = unpack(data, caller);
  if (Array.isArray(pair) && pair.length === 2 && typeof pair[0] === 'string')
    return pair as [string, unknown];
  throw new MalformedError('there is something in the log that is no event');
}
