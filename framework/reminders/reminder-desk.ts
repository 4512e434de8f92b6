import type { Directory } from '../directory/directory.ts';
import { InvalidConfigError } from '../errors.ts';
import { isGrainId } from '../identity/grain-id.ts';
import { hash32 } from '../identity/hash.ts';
import type { Node } from '../rpc/node.ts';
import type { ReminderId, ReminderStore, StoredReminder } from '../storage/reminder-store.ts';
import type { Clock } from '../system/clock.ts';
import type { Random } from '../system/random.ts';
import { AHEAD_MS } from './due-queue.ts';
import { grainOf, reminderId } from './reminder-id.ts';
import { SiloReminders, type SiloRemindersOptions } from './silo-reminders.ts';

/**
 * Where the grains of this silo set and forget reminders: writes to the store, and then tells the silo that
 * owns the reminder, which would find it there too, some seconds later.
 */
export class ReminderDesk {
  readonly clock: Clock;
  readonly random: Random;
  readonly #node: Node;
  readonly #directory: Directory;
  readonly #store: ReminderStore | undefined;
  /** Looks after the reminders of this silo's partitions. */
  #owner: SiloReminders | undefined;

  /** `store`: undefined when this silo has none. */
  constructor(node: Node, directory: Directory, store: ReminderStore | undefined) {
    this.#node = node;
    this.#directory = directory;
    this.#store = store;
    this.clock = node.clock;
    this.random = node.random;
    node.control.on('reminderSet', (_from, body) => {
      const reminder = parseReminder(body);
      if (reminder) this.#owner?.set(reminder);
    });
    node.control.on('reminderGone', (_from, body) => {
      const [grain, name] = Array.isArray(body) ? body : [];
      if (isGrainId(grain) && typeof name === 'string') this.#owner?.gone(reminderId(grain, name));
    });
  }

  /** From now on this silo makes the ticks of its partitions. Without a store there are none. */
  begin(doors: Pick<SiloRemindersOptions, 'events' | 'caller' | 'types' | 'inUse'>): void {
    const { clock, random, address: self } = this.#node;
    const [directory, store] = [this.#directory, this.#store];
    if (store) this.#owner = new SiloReminders({ ...doors, clock, random, directory, self, store });
  }

  /** No tick begins here any more; resolves when those that have begun have ended, or after `timeoutMs`. */
  async finish(timeoutMs: number): Promise<void> {
    const owner = this.#owner;
    if (!owner || owner.underWay === 0) return owner?.stop();
    await new Promise<void>((resolve) => {
      const timer = this.clock.after(timeoutMs, resolve);
      void owner.finish().then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  stop(): void {
    this.#owner?.stop();
  }

  /** Throws `InvalidConfigError` when there is none. */
  get store(): ReminderStore {
    if (this.#store) return this.#store;
    throw new InvalidConfigError(
      'reminders need a store that keeps them: the default one does not; ' +
        'pass Silo.start({ reminders: postgres({ url }) }), or memory() for a single process',
    );
  }

  async set(reminder: StoredReminder): Promise<void> {
    await this.store.setReminder(reminder);
    const isNear = reminder.wakeAt <= this.clock.wallNow() + AHEAD_MS;
    if (isNear) this.#tellOwner(reminder, 'reminderSet', reminder);
    else this.#tellOwner(reminder, 'reminderGone', [grainOf(reminder), reminder.name]);
  }

  async remove(id: ReminderId): Promise<boolean> {
    const removed = await this.store.removeReminder(id);
    this.#tellOwner(id, 'reminderGone', [grainOf(id), id.name]);
    return removed;
  }

  #tellOwner(id: ReminderId, kind: 'reminderSet' | 'reminderGone', body: unknown): void {
    const { address, control } = this.#node;
    const owner = this.#directory.primary(this.#directory.partitionOf(grainOf(id)));
    if (owner === undefined) return; // whoever becomes it reads the store then
    if (owner !== address) control.send(owner, kind, body);
    else if (kind === 'reminderSet') this.#owner?.set(body as StoredReminder);
    else this.#owner?.gone(id);
  }
}

/** A reminder that came over the wire; undefined when it is none. */
function parseReminder(body: unknown): StoredReminder | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const reminder = body as StoredReminder;
  const { type, key, name, registration, schedule, hash, dueAt, wakeAt, failures } = reminder;
  if (![type, key, name, registration, schedule].every((text) => typeof text === 'string')) return undefined;
  if (![hash, dueAt, wakeAt, failures].every((number) => Number.isSafeInteger(number))) return undefined;
  const grain = grainOf(reminder);
  return isGrainId(grain) && hash === hash32(grain) ? reminder : undefined;
}
