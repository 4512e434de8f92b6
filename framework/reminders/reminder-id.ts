import { type GrainId, grainIdOf, keyOf, typeOf } from '../identity/grain-id.ts';
import type { ReminderId } from '../storage/reminder-store.ts';

export function reminderId(grain: GrainId, name: string): ReminderId {
  return { type: typeOf(grain), key: keyOf(grain), name };
}

export function grainOf({ type, key }: Pick<ReminderId, 'type' | 'key'>): GrainId {
  return grainIdOf(type, key);
}

/** One text for a reminder, different for different ones: a grain id has no line feed. */
export function textOf(id: ReminderId): string {
  return `${grainOf(id)}\n${id.name}`;
}
