import {
  type EventMeta,
  grain,
  method,
  type ReminderTick,
  reminder,
  type StandardSchema,
  state,
  subscribe,
} from 'granary';
import { Named } from './parent.js';

/** For positive numbers. */
const positive: StandardSchema<number> = {
  '~standard': {
    version: 1,
    vendor: 'none',
    validate: (value) =>
      typeof value === 'number' && value > 0 ? { value } : { issues: [{ message: 'not positive' }] },
  },
};

/** Between two that are decorated. */
class Undecorated extends Named {
  async hidden(): Promise<void> {}
}

@grain({ name: 'Shelf', idleMs: 60_000 })
export class Shelf extends Undecorated {
  static made = 0;
  readonly [Symbol.toStringTag] = 'Shelf';
  @state() count = 1;
  @state({ name: 'notes' }) notes: string[] = ['first'];
  @state() empty: string | undefined;
  @state() accessor level = 10;
  unsaved = 0;
  #steps = 0;

  constructor() {
    super();
    Shelf.made++;
  }

  /** Calls a private method, of a class whose members are decorated. */
  @method()
  async add(by: number): Promise<string> {
    this.unsaved += by;
    this.#step(by);
    await this.save();
    await this.save('notes');
    return this.everything();
  }

  @method()
  async everything(): Promise<string> {
    const { count, level, empty, unsaved, notes } = this;
    return JSON.stringify([count, level, empty ?? null, unsaved, notes, this.#steps]);
  }

  #step(by: number): void {
    this.#steps++;
    this.count += by;
    this.level += by;
    this.empty = `${this.#steps}`;
    this.notes.push(`${by}`);
  }

  @method({ interleave: true })
  async *upTo(end: number): AsyncGenerator<number> {
    for (let n = 1; n <= end; n++) yield n;
  }

  @method()
  override async who(): Promise<string> {
    return `the shelf of ${await super.who()}`;
  }

  @method({ args: [positive] })
  async double(value: number): Promise<number> {
    return value * 2;
  }

  @reminder('daily')
  async daily(tick: ReminderTick): Promise<void> {
    this.notes.push(tick.name);
  }

  @method()
  async remindMe(): Promise<string[]> {
    await this.context.remind('daily', { dueMs: 86_400_000 });
    const set = await this.context.reminders();
    await this.context.forget('daily');
    return set.map(({ name }) => name);
  }

  @subscribe('news', { broadcast: true })
  async onNews(text: string, _meta: EventMeta): Promise<void> {
    this.notes.push(text);
  }

  @method()
  async tell(text: string): Promise<void> {
    await this.broadcast('news', text);
  }
}
