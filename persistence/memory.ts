import type { GrainStore, RecordId, StoredRecord } from '../framework/storage/grain-store.ts';
import type {
  NextTick,
  ReminderId,
  ReminderStore,
  StoredReminder,
  TickOf,
  WakingQuery,
} from '../framework/storage/reminder-store.ts';
import { MemoryReminders } from './memory-reminders.ts';
import { conflictOn, recordKey } from './record.ts';

/**
 * A store in this process's memory: two silos given the same one share it. What it holds ends with the
 * object, not with `close`, so that a silo can be stopped and started again on it. It keeps reminders, too.
 */
export function memory(): GrainStore & ReminderStore {
  return new MemoryStore();
}

class MemoryStore implements GrainStore, ReminderStore {
  readonly #records = new Map<string, StoredRecord>();
  // One counter for all records: it never goes back, so a record that was cleared and written again cannot
  // show an old etag.
  #lastEtag = 0;
  readonly #reminders = new MemoryReminders();

  async open(): Promise<void> {}

  async close(): Promise<void> {}

  async read(id: RecordId): Promise<StoredRecord | undefined> {
    const record = this.#records.get(recordKey(id));
    return record && { data: new Uint8Array(record.data), etag: record.etag };
  }

  async write(id: RecordId, data: Uint8Array, etag: string | undefined): Promise<string> {
    const key = this.#checkedKey(id, etag);
    const record = { data: new Uint8Array(data), etag: String(++this.#lastEtag) };
    this.#records.set(key, record);
    return record.etag;
  }

  async clear(id: RecordId, etag: string | undefined): Promise<void> {
    this.#records.delete(this.#checkedKey(id, etag));
  }

  async setReminder(reminder: StoredReminder): Promise<void> {
    this.#reminders.set(reminder);
  }

  async removeReminder(id: ReminderId): Promise<boolean> {
    return this.#reminders.remove(id);
  }

  async readReminder(id: ReminderId): Promise<StoredReminder | undefined> {
    return this.#reminders.read(id);
  }

  async remindersOf(grain: Pick<ReminderId, 'type' | 'key'>): Promise<StoredReminder[]> {
    return this.#reminders.of(grain);
  }

  async wakingReminders(query: WakingQuery): Promise<StoredReminder[]> {
    return this.#reminders.waking(query);
  }

  async advanceReminder(id: ReminderId, from: TickOf, next: NextTick | undefined): Promise<boolean> {
    return this.#reminders.advance(id, from, next);
  }

  #checkedKey(id: RecordId, etag: string | undefined): string {
    const key = recordKey(id);
    if (this.#records.get(key)?.etag !== etag) throw conflictOn(id);
    return key;
  }
}
