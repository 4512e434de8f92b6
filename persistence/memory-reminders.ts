import {
  isWanted,
  type NextTick,
  type ReminderId,
  type StoredReminder,
  type TickOf,
  type WakingQuery,
} from '../framework/storage/reminder-store.ts';
import { recordKey } from './record.ts';

/**
 * Reminders in this process's memory. Which wake next is found by looking at all of them: it is meant for
 * tests and first steps, and looks at 100,000 in some milliseconds.
 */
export class MemoryReminders {
  readonly #reminders = new Map<string, StoredReminder>();

  set(reminder: StoredReminder): void {
    this.#reminders.set(recordKey(reminder), { ...reminder });
  }

  remove(id: ReminderId): boolean {
    return this.#reminders.delete(recordKey(id));
  }

  read(id: ReminderId): StoredReminder | undefined {
    const reminder = this.#reminders.get(recordKey(id));
    return reminder && { ...reminder };
  }

  of({ type, key }: Pick<ReminderId, 'type' | 'key'>): StoredReminder[] {
    return [...this.#reminders.values()]
      .filter((reminder) => reminder.type === type && reminder.key === key)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((reminder) => ({ ...reminder }));
  }

  waking(query: WakingQuery): StoredReminder[] {
    const { until, after, limit } = query;
    const found: StoredReminder[] = [];
    for (const reminder of this.#reminders.values()) {
      if (reminder.wakeAt > until || !isWanted(query, reminder.hash)) continue;
      if (after === undefined || wakingOrder(after, reminder) < 0) found.push(reminder);
    }
    return found
      .sort(wakingOrder)
      .slice(0, limit)
      .map((reminder) => ({ ...reminder }));
  }

  advance(id: ReminderId, { registration, dueAt }: TickOf, next: NextTick | undefined): boolean {
    const key = recordKey(id);
    const stored = this.#reminders.get(key);
    if (stored?.registration !== registration || stored.dueAt !== dueAt) return false;
    if (next) this.#reminders.set(key, { ...stored, ...next });
    else this.#reminders.delete(key);
    return true;
  }
}

type Place = Pick<StoredReminder, 'wakeAt' | 'registration'>;

function wakingOrder(a: Place, b: Place): number {
  if (a.wakeAt !== b.wakeAt) return a.wakeAt - b.wakeAt;
  if (a.registration === b.registration) return 0;
  return a.registration < b.registration ? -1 : 1;
}
