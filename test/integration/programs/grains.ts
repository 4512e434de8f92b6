import { Grain, grain, method, type ReminderTick, reminder, state } from 'granary';

/** What a counter answers: its value, and who said so. */
export interface Answer {
  readonly count: number;
  readonly silo: string;
  readonly activationId: string;
}

@grain()
export class Counter extends Grain {
  @state() count = 0;

  /** Not idempotent: each acknowledged call is one more in the store. */
  @method()
  async increment(): Promise<Answer> {
    this.count++;
    await this.save();
    return this.#answer();
  }

  @method({ readOnly: true })
  async read(): Promise<Answer> {
    return this.#answer();
  }

  #answer(): Answer {
    const { silo, activationId } = this.context;
    return { count: this.count, silo, activationId };
  }
}

/** Keeps no state. */
@grain()
export class Plain extends Grain {
  #calls = 0;

  @method()
  async echo(value: unknown): Promise<unknown> {
    return value;
  }

  @method()
  async sizeOf(bytes: Uint8Array): Promise<number> {
    return bytes.length;
  }

  @method()
  async bytes(count: number): Promise<Uint8Array> {
    return new Uint8Array(count).fill(7);
  }

  @method()
  async myKey(): Promise<string> {
    return this.key;
  }

  @method()
  async add(a: number, b: number): Promise<number> {
    return a + b;
  }

  @method()
  async fail(message: string): Promise<never> {
    throw new RangeError(message);
  }

  @method()
  async calls(): Promise<Answer> {
    const { silo, activationId } = this.context;
    return { count: ++this.#calls, silo, activationId };
  }

  notCallable(): string {
    return 'never';
  }
}

/** Keeps the thread of its silo busy. */
@grain()
export class Burner extends Grain {
  @method()
  async burn(ms: number): Promise<string> {
    const end = performance.now() + ms;
    while (performance.now() < end);
    return this.context.silo;
  }
}

/** A tick that was made, and where. */
export interface MadeTick {
  readonly scheduledAt: number;
  readonly silo: string;
}

/** Saves each tick of its reminder. */
@grain()
export class Ticker extends Grain {
  @state() made: readonly MadeTick[] = [];

  /** Returns when the first tick is due. */
  @method({ idempotent: true })
  async start(periodMs: number): Promise<number> {
    return (await this.context.remind('tick', { periodMs, missed: 'all' })).nextAt;
  }

  @method({ idempotent: true })
  async stop(): Promise<void> {
    await this.context.forget('tick');
  }

  @method({ readOnly: true })
  async ticks(): Promise<readonly MadeTick[]> {
    return this.made;
  }

  @reminder('tick')
  async onTick({ scheduledAt }: ReminderTick): Promise<void> {
    this.made = [...this.made, { scheduledAt, silo: this.context.silo }];
    await this.save();
  }
}

export const GRAINS = [Counter, Plain, Burner, Ticker];
