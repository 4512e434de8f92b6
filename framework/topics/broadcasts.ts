import { InvalidConfigError, PayloadTooLargeError } from '../errors.ts';
import { checkTopic } from '../grain/check-subscriptions.ts';
import type { GrainType } from '../grain/grain-type.ts';
import { type Caller, OBSERVER_SPEC } from '../grain/reference.ts';
import type { EventMeta } from '../grain/subscribe-options.ts';
import { observerId } from '../identity/observer-id.ts';
import { LIMITS } from '../limits.ts';
import type { Cluster } from '../membership/cluster.ts';
import { pack } from '../serialization/codec.ts';
import type { Clock } from '../system/clock.ts';

/** Number of the object that takes broadcasts in, among those of its silo; users' own count from 1. */
export const BROADCAST_OBSERVER = 0;

/** Tells silos with classes that hear broadcasts of a topic from all others. */
export function broadcastMark(topic: string): string {
  return `<${topic}*`;
}

export function broadcastMarks(types: Iterable<GrainType>): string[] {
  const topics = [...types].flatMap(({ subscriptions }) =>
    subscriptions.filter(({ broadcast }) => broadcast).map(({ topic }) => topic),
  );
  return [...new Set(topics)].map(broadcastMark);
}

export interface BroadcasterOptions {
  readonly clock: Clock;
  readonly cluster: Pick<Cluster, 'era'>;
  readonly caller: Caller;
}

/** Sends events to all who listen at the moment: to each silo that has such classes, once. */
export class Broadcaster {
  readonly #options: BroadcasterOptions;

  constructor(options: BroadcasterOptions) {
    this.#options = options;
  }

  /** Resolves to the number of silos that it was sent to. Who hears it is not known. */
  async broadcast(topic: string, event: unknown): Promise<number> {
    checkTopic('broadcast', topic);
    const { cluster, caller, clock } = this.#options;
    const meta: EventMeta = { topic, key: '', seq: 0, publishedAt: clock.wallNow(), attempt: 1 };
    const args = pack([event, meta], 'event');
    if (args.length > LIMITS.eventBytes) {
      throw new PayloadTooLargeError(
        `broadcast to '${topic}': the event has ${args.length} bytes, the limit is ${LIMITS.eventBytes}`,
      );
    }
    const mark = broadcastMark(topic);
    const silos = cluster.era.active.filter(({ types }) => types.includes(mark));
    for (const { name } of silos) {
      const address = cluster.era.addressOf(name);
      if (address === undefined) throw new InvalidConfigError(`silo ${name} has no address`);
      const target = observerId(address, BROADCAST_OBSERVER);
      const call = { target, method: 'hear', spec: OBSERVER_SPEC, args: [topic, args] };
      // One-way: that it could not be sent is nothing that a broadcast promises.
      caller.invoke({ ...call, options: { oneWay: true } }).catch(() => {});
    }
    return silos.length;
  }
}
