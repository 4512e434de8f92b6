import { EventLogError, InvalidConfigError } from '../errors.ts';
import { checkTopic, type SubscriptionSpec } from '../grain/check-subscriptions.ts';
import type { ReplayFrom } from '../grain/subscribe-options.ts';
import { canonicalKey, type GrainId, type GrainKey } from '../identity/grain-id.ts';
import { pack } from '../serialization/codec.ts';
import { type Clock, sleep } from '../system/clock.ts';
import type { Random } from '../system/random.ts';
import type { CellName, EventLogSession } from './event-log.ts';
import { shardOf } from './names.ts';
import type { Publisher } from './publisher.ts';
import { subscriptionCell } from './subscription-consumer.ts';
import { parseSubscription, type Subscription } from './subscription-cursor.ts';

export interface SubscriptionsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly session: EventLogSession;
  readonly publisher: Publisher;
}

/** Who subscribes, to what. */
export interface Subscriber {
  readonly target: GrainId;
  readonly subscriptions: readonly SubscriptionSpec[];
}

const AGAIN_MS = 50;

/** Makes and ends subscriptions of grains to keys: cells of the log, which whoever has the duty reads. */
export class Subscriptions {
  readonly #options: SubscriptionsOptions;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  /** Resolves when the subscription is stored. One that there is already stays as it is. */
  async subscribe(
    subscriber: Subscriber,
    topic: string,
    key: GrainKey,
    from: ReplayFrom,
    deadline: number,
  ): Promise<void> {
    const where = `${subscriber.target}: subscribe to '${topic}'`;
    const canonical = this.#check(where, subscriber, topic, key);
    checkFrom(where, from);
    const { session, random } = this.#options;
    const { target } = subscriber;
    const id = random.id();
    await this.#until(deadline, where, async () => {
      const name = await this.#cell(topic, target, canonical);
      const cell = await session.cell(name);
      if (cell && parseSubscription(cell.data)) return true;
      const after = await this.#start(topic, from);
      const value: Subscription = { id, target, key: canonical, after, failed: 0 };
      const written = await session.writeCell(name, pack(value, 'subscription'), cell?.revision ?? 0);
      return written !== undefined;
    });
  }

  /** Resolves when the subscription is removed. What is on its way to the grain may still come. */
  async unsubscribe(subscriber: Subscriber, topic: string, key: GrainKey, deadline: number): Promise<void> {
    const where = `${subscriber.target}: unsubscribe from '${topic}'`;
    const canonical = this.#check(where, subscriber, topic, key);
    const { session } = this.#options;
    await this.#until(deadline, where, async () => {
      const name = await this.#cell(topic, subscriber.target, canonical);
      const cell = await session.cell(name);
      return !cell || (await session.writeCell(name, undefined, cell.revision)) !== undefined;
    });
  }

  #check(where: string, { subscriptions }: Subscriber, topic: string, key: GrainKey): string {
    checkTopic(where, topic);
    if (!subscriptions.some((each) => each.topic === topic && each.explicit)) {
      throw new InvalidConfigError(
        `${where}: the class has no handler for it; put @subscribe('${topic}', { explicit: true }) above one`,
      );
    }
    return canonicalKey(topic, key);
  }

  async #cell(topic: string, target: GrainId, key: string): Promise<CellName> {
    const shard = shardOf(key, await this.#options.publisher.shards(topic));
    return subscriptionCell(topic, shard, { target, key });
  }

  /** The event after which it begins. */
  #start(topic: string, from: ReplayFrom): Promise<number> {
    const { session } = this.#options;
    if (from === 'new') return session.head(topic);
    if (from instanceof Date) return session.headAt(topic, from.getTime());
    return Promise.resolve(from === 'start' ? 0 : from - 1);
  }

  /** Tries until it is done; somebody else may write the same cell. */
  async #until(deadline: number, where: string, act: () => Promise<boolean>): Promise<void> {
    const { clock, random } = this.#options;
    for (let failure: unknown; ; ) {
      try {
        if (await act()) return;
      } catch (error) {
        if (!(error instanceof EventLogError)) throw error;
        failure = error;
      }
      if (clock.now() >= deadline) {
        const text = `${where}: the log has not taken it by the deadline; whether it has is unknown`;
        throw new EventLogError(text, { cause: failure });
      }
      await sleep(clock, AGAIN_MS * (0.5 + random.next()));
    }
  }
}

function checkFrom(where: string, from: unknown): asserts from is ReplayFrom {
  if (from === 'new' || from === 'start') return;
  if (from instanceof Date && Number.isFinite(from.getTime())) return;
  if (typeof from === 'number' && Number.isSafeInteger(from) && from >= 1) return;
  throw new InvalidConfigError(
    `${where}: from is ${String(from)}; it must be 'new', 'start', an event's number, or a Date`,
  );
}
