import type { GrainStore } from '../../storage/grain-store.ts';
import {
  isReminderStore,
  type NextTick,
  type ReminderId,
  type ReminderStore,
  type StoredReminder,
  type TickOf,
  type WakingQuery,
} from '../../storage/reminder-store.ts';
import type { Host } from './host.ts';
import { SimulatedStore, type StoreSite } from './store.ts';

/** A store that keeps reminders as well: they fare as the records do. */
class SimulatedReminderStore extends SimulatedStore implements ReminderStore {
  readonly #store: ReminderStore;

  constructor(site: StoreSite, host: Host, store: GrainStore & ReminderStore) {
    super(site, host, store);
    this.#store = store;
  }

  setReminder(reminder: StoredReminder): Promise<void> {
    return this.ask(true, () => this.#store.setReminder(reminder));
  }

  removeReminder(id: ReminderId): Promise<boolean> {
    return this.ask(true, () => this.#store.removeReminder(id));
  }

  readReminder(id: ReminderId): Promise<StoredReminder | undefined> {
    return this.ask(false, () => this.#store.readReminder(id));
  }

  remindersOf(grain: Pick<ReminderId, 'type' | 'key'>): Promise<StoredReminder[]> {
    return this.ask(false, () => this.#store.remindersOf(grain));
  }

  wakingReminders(query: WakingQuery): Promise<StoredReminder[]> {
    return this.ask(false, () => this.#store.wakingReminders(query));
  }

  advanceReminder(id: ReminderId, from: TickOf, next: NextTick | undefined): Promise<boolean> {
    return this.ask(true, () => this.#store.advanceReminder(id, from, next));
  }
}

/** A store as one silo reaches it, which keeps reminders if the store does. */
export function simulatedStore(site: StoreSite, host: Host, store: GrainStore): SimulatedStore {
  return isReminderStore(store)
    ? new SimulatedReminderStore(site, host, store)
    : new SimulatedStore(site, host, store);
}
