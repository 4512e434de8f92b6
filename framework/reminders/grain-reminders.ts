import { InvalidConfigError, StoreError } from '../errors.ts';
import type { GrainType } from '../grain/grain-type.ts';
import type { Reminder, ReminderTick, RemindOptions } from '../grain/reminder-options.ts';
import type { GrainId } from '../identity/grain-id.ts';
import { hash32 } from '../identity/hash.ts';
import type { ReminderId, StoredReminder } from '../storage/reminder-store.ts';
import type { ReminderDesk } from './reminder-desk.ts';
import { reminderId } from './reminder-id.ts';
import { checkSchedule, firstDue, parseSchedule, reminderOf, repeats, scheduleText } from './schedule.ts';

/**
 * How old the store's word may be when a tick's method is called. An answer that took longer may be from
 * before a pause of this process, in which others have gone on.
 */
const ANSWER_MS = 1_000;
/** How often the store is asked before a tick is given back, to be made later. */
const ASKS = 5;

interface MadeTick {
  readonly registration: string;
  readonly scheduledAt: number;
  readonly missed: number;
}

/**
 * The reminders of one activation.
 *
 * **No tick after `forget`.** A tick names the registration that it belongs to, and when it was due. Its turn
 * begins with a look into the store: the method is called only if the reminder is there, of that
 * registration, and waits for that very tick. Where one call runs at a time, `forget` has resolved before the
 * look or comes after the method. Where calls interleave, this activation may have changed its reminders
 * between the store's answer and the method: then it looks again. A second activation of the grain, in a
 * split, may forget in that moment, too: it is as long as one answer of the store.
 *
 * **Twice** it is made only when the silo that made it does not live to tell the store, and the activation is
 * another by then: this one remembers what it has made, and the look shows what the store was told.
 */
export class GrainReminders {
  readonly #grain: GrainId;
  readonly #type: GrainType;
  readonly #desk: ReminderDesk;
  /** One change after the other: statements of different kinds may overtake each other in a store. */
  #line: Promise<unknown> = Promise.resolve();
  /** Changes that have been made here. */
  #changes = 0;
  /** The last tick of each name whose method has ended here without an error. */
  readonly #made = new Map<string, MadeTick>();

  constructor(grain: GrainId, type: GrainType, desk: ReminderDesk) {
    this.#grain = grain;
    this.#type = type;
    this.#desk = desk;
  }

  async remind(name: string, options: RemindOptions): Promise<Reminder> {
    const id = this.#id(name);
    const where = `${this.#grain}: remind('${name}')`;
    const schedule = checkSchedule(where, options);
    const text = scheduleText(schedule);
    return this.#inLine(async () => {
      const { clock, random, store } = this.#desk;
      const present = repeats(schedule) ? await store.readReminder(id) : undefined;
      if (present?.schedule === text) return reminderOf(name, present.dueAt, schedule);
      const dueAt = firstDue(schedule, clock.wallNow());
      if (dueAt === undefined) throw new InvalidConfigError(`${where}: there is no such time any more`);
      const times = { dueAt, wakeAt: dueAt, failures: 0 };
      const registration = random.id();
      await this.#change(() =>
        this.#desk.set({ ...id, hash: hash32(this.#grain), registration, ...times, schedule: text }),
      );
      return reminderOf(name, dueAt, schedule);
    });
  }

  async forget(name: string): Promise<boolean> {
    const id = this.#id(name);
    return this.#inLine(() => this.#change(() => this.#desk.remove(id)));
  }

  async list(): Promise<readonly Reminder[]> {
    const { type, key } = reminderId(this.#grain, '');
    const stored = await this.#inLine(() => this.#desk.store.remindersOf({ type, key }));
    return stored.map(({ name, dueAt, schedule }) => reminderOf(name, dueAt, parseSchedule(schedule)));
  }

  /**
   * Makes a tick that the store waits for, by `act`. Resolves to how many missed ones it stood for, which is
   * what it was told at first, if this activation has made it before: the silo that asked for it then may be
   * gone, or not have told the store yet. Undefined when nobody waits for it.
   */
  async make(registration: string, tick: ReminderTick, act: () => unknown): Promise<number | undefined> {
    const made = this.#made.get(tick.name);
    if (made?.registration === registration && made.scheduledAt === tick.scheduledAt) return made.missed;
    if (!(await this.#isAwaited(registration, tick))) return undefined;
    await act();
    this.#made.set(tick.name, { registration, scheduledAt: tick.scheduledAt, missed: tick.missed });
    return tick.missed;
  }

  /** Whether the store waits for this very tick, as of now. Rejects with `StoreError`. */
  async #isAwaited(registration: string, { name, scheduledAt }: ReminderTick): Promise<boolean> {
    const { clock, store } = this.#desk;
    const id = reminderId(this.#grain, name);
    for (let asks = 0; asks < ASKS; asks++) {
      const askedAt = clock.now();
      const changes = this.#changes;
      const stored: StoredReminder | undefined = await store.readReminder(id);
      if (changes !== this.#changes || clock.now() - askedAt > ANSWER_MS) continue;
      return stored?.registration === registration && stored.dueAt === scheduledAt;
    }
    const text = `${this.#grain}: the store is too slow to tell whether reminder '${name}' is still set`;
    throw new StoreError(text, { grain: this.#grain });
  }

  async #change<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } finally {
      this.#changes++;
    }
  }

  #inLine<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#line.then(act);
    this.#line = done.catch(() => {}); // whoever asked is told; those after it go on
    return done;
  }

  #id(name: string): ReminderId {
    if (this.#type.reminders.has(name)) return reminderId(this.#grain, name);
    const known = [...this.#type.reminders.keys()].map((each) => `'${each}'`).join(', ');
    const remedy = known ? `there are: ${known}` : 'put @reminder() above the method that it is to call';
    throw new InvalidConfigError(`${this.#grain}: there is no reminder '${String(name)}'; ${remedy}`);
  }
}
