import type { GrainStore, RecordId, StoredRecord } from '../storage/grain-store.ts';
import {
  isReminderStore,
  type NextTick,
  type ReminderId,
  type ReminderStore,
  type StoredReminder,
  type TickOf,
  type WakingQuery,
} from '../storage/reminder-store.ts';

/**
 * A store as one silo of a test cluster sees it: after the silo has crashed nothing that it still runs
 * reaches the store any more, as if its process were gone. What was on its way when it crashed may have been
 * written, or not.
 */
export class GatedStore implements GrainStore {
  readonly #store: GrainStore;
  #crashed = false;

  constructor(store: GrainStore) {
    this.#store = store;
  }

  crash(): void {
    this.#crashed = true;
  }

  open(): Promise<void> {
    return this.#store.open();
  }

  read(id: RecordId): Promise<StoredRecord | undefined> {
    return this.pass(() => this.#store.read(id));
  }

  write(id: RecordId, data: Uint8Array, etag: string | undefined): Promise<string> {
    return this.pass(() => this.#store.write(id, data, etag));
  }

  clear(id: RecordId, etag: string | undefined): Promise<void> {
    return this.pass(() => this.#store.clear(id, etag));
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  protected async pass<T>(act: () => Promise<T>): Promise<T> {
    if (this.#crashed) return new Promise<T>(() => {});
    const result = await act();
    return this.#crashed ? new Promise<T>(() => {}) : result;
  }
}

/** A gate before a store that keeps reminders as well. */
class GatedReminderStore extends GatedStore implements ReminderStore {
  readonly #store: ReminderStore;

  constructor(store: GrainStore & ReminderStore) {
    super(store);
    this.#store = store;
  }

  setReminder(reminder: StoredReminder): Promise<void> {
    return this.pass(() => this.#store.setReminder(reminder));
  }

  removeReminder(id: ReminderId): Promise<boolean> {
    return this.pass(() => this.#store.removeReminder(id));
  }

  readReminder(id: ReminderId): Promise<StoredReminder | undefined> {
    return this.pass(() => this.#store.readReminder(id));
  }

  remindersOf(grain: Pick<ReminderId, 'type' | 'key'>): Promise<StoredReminder[]> {
    return this.pass(() => this.#store.remindersOf(grain));
  }

  wakingReminders(query: WakingQuery): Promise<StoredReminder[]> {
    return this.pass(() => this.#store.wakingReminders(query));
  }

  advanceReminder(id: ReminderId, from: TickOf, next: NextTick | undefined): Promise<boolean> {
    return this.pass(() => this.#store.advanceReminder(id, from, next));
  }
}

/** A gate before a store, which keeps reminders if the store does. */
export function gated(store: GrainStore): GatedStore {
  return isReminderStore(store) ? new GatedReminderStore(store) : new GatedStore(store);
}
