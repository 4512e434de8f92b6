import { hash32 } from '../identity/hash.ts';

const DEAD = '.dead';

/** Where events of a topic go that could not be handled. */
export function deadTopicOf(topic: string): string {
  return topic + DEAD;
}

export function isDeadTopic(topic: string): boolean {
  return topic.endsWith(DEAD);
}

/** The shard of a key, the same for all who publish. */
export function shardOf(key: string, shards: number): number {
  return hash32(key) % shards;
}

/** Tells silos that have a class which subscribes to a topic from those whose class does not, or not yet. */
export function subscriberMark(topic: string, type: string): string {
  return `${type}<${topic}`;
}

/** Broadcasts have another mark, which begins with what follows a type's name here. */
export function isSubscriberMark(mark: string): boolean {
  return mark.indexOf('<') > 0;
}
