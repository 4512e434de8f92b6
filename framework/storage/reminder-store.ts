/** What names a reminder: the grain, by type and canonical key, and the reminder's own name. */
export interface ReminderId {
  readonly type: string;
  readonly key: string;
  readonly name: string;
}

/** A reminder as it is stored. Times are wall-clock milliseconds. */
export interface StoredReminder extends ReminderId {
  /** Of the grain id, 32 bits without a sign: it decides in which partition of the ring the reminder is. */
  readonly hash: number;
  /** Unique to one `setReminder`: what replaces a reminder of the same name has another. */
  readonly registration: string;
  /** When the next tick is due. Only grows while the registration is the same. */
  readonly dueAt: number;
  /** When it is to be made: at `dueAt`, or later, when it has failed. */
  readonly wakeAt: number;
  /** How often the tick that is due has failed. */
  readonly failures: number;
  /** What follows upon a tick, as text; opaque to the store. */
  readonly schedule: string;
}

/** The tick that somebody has made, or found failing: the condition of an advance. */
export interface TickOf {
  readonly registration: string;
  readonly dueAt: number;
}

/** What an advance changes. */
export type NextTick = Pick<StoredReminder, 'dueAt' | 'wakeAt' | 'failures'>;

export interface WakingQuery {
  /** Those whose `wakeAt` is at most this. */
  readonly until: number;
  /** Only what comes after this one, in the order of `wakeAt` and `registration`. */
  readonly after: Pick<StoredReminder, 'wakeAt' | 'registration'> | undefined;
  /** Number of partitions of the ring, a power of two: `hash` modulo this is a reminder's. */
  readonly partitions: number;
  /** One bit for each partition, the lowest of a byte first: whether it is wanted. */
  readonly wanted: Uint8Array;
  readonly limit: number;
}

export const REMINDER_STORE_METHODS = [
  'open',
  'close',
  'setReminder',
  'removeReminder',
  'readReminder',
  'remindersOf',
  'wakingReminders',
  'advanceReminder',
] as const;

/** Whether a value can keep reminders. */
export function isReminderStore(store: unknown): store is ReminderStore {
  const methods = store as Partial<ReminderStore> | null | undefined;
  return REMINDER_STORE_METHODS.every((method) => typeof methods?.[method] === 'function');
}

/**
 * Where reminders are kept. Every method may reject with `StoreError`; after one that changes something and
 * did, the outcome is unknown.
 *
 * Only `setReminder` makes a reminder. An advance changes the one that it names, as it was, or nothing: so a
 * reminder that was removed does not come back by way of a silo that had not heard of it.
 */
export interface ReminderStore {
  /** Connects and brings the schema up to date; safe from several silos at once, and when already open. */
  open(): Promise<void>;
  /** Puts a reminder in place of an earlier one of that grain and name, if there is one. */
  setReminder(reminder: StoredReminder): Promise<void>;
  /** Removes it, whatever its registration. False when there was none. */
  removeReminder(id: ReminderId): Promise<boolean>;
  readReminder(id: ReminderId): Promise<StoredReminder | undefined>;
  /** All of one grain, by name. */
  remindersOf(grain: Pick<ReminderId, 'type' | 'key'>): Promise<StoredReminder[]>;
  /** Those that are to wake soon, ordered by `wakeAt`, then `registration`. */
  wakingReminders(query: WakingQuery): Promise<StoredReminder[]>;
  /**
   * Moves a reminder on from a tick, or removes it when nothing follows. False, and nothing is changed, when
   * the reminder is gone, was registered anew, or has been moved on already.
   */
  advanceReminder(id: ReminderId, from: TickOf, next: NextTick | undefined): Promise<boolean>;
  /** Finishes what is under way and disconnects, with the last of those that opened it. */
  close(): Promise<void>;
}

/** A set of partitions as `WakingQuery` wants it. */
export function partitionBits(partitions: number, has: (partition: number) => boolean): Uint8Array {
  const bits = new Uint8Array(Math.ceil(partitions / 8));
  for (let partition = 0; partition < partitions; partition++) {
    if (has(partition)) bits[partition >> 3] = (bits[partition >> 3] as number) | (1 << (partition & 7));
  }
  return bits;
}

/** Whether a reminder with this hash is in one of the wanted partitions. */
export function isWanted(
  { partitions, wanted }: Pick<WakingQuery, 'partitions' | 'wanted'>,
  hash: number,
): boolean {
  const partition = hash & (partitions - 1);
  return (((wanted[partition >> 3] ?? 0) >> (partition & 7)) & 1) === 1;
}
