import { Grain, type GrainClass, type GrainRef, grain, method, NoSiloError, state } from 'granary';

/** A value that is saved before it is acknowledged. */
@grain()
export class Register extends Grain {
  @state() value = 0;

  @method()
  async write(value: number): Promise<void> {
    this.value = value;
    await this.save();
  }

  @method()
  async replace(expected: number, value: number): Promise<boolean> {
    if (this.value !== expected) return false;
    this.value = value;
    await this.save();
    return true;
  }

  /** As new. */
  @method()
  async erase(): Promise<void> {
    await this.clear();
  }

  @method({ readOnly: true })
  async read(): Promise<number> {
    return this.value;
  }

  /** Beside other readers, while writers wait. */
  @method({ readOnly: true })
  async readSlowly(): Promise<number> {
    const { value } = this;
    await pause(5);
    return value;
  }

  /** Read as a writer would: in its turn. */
  @method()
  async readInTurn(): Promise<number> {
    return this.value;
  }

  @method()
  async end(): Promise<void> {
    this.context.deactivate();
  }

  @method()
  async move(silo: string): Promise<void> {
    moveTo(this, silo);
  }

  @method({ readOnly: true })
  async activation(): Promise<string> {
    return this.context.activationId;
  }
}

@grain({ placement: 'random' })
export class ScatteredRegister extends Register {}

@grain({ placement: 'preferLocal', idleMs: 60 })
export class NearbyRegister extends Register {}

@grain({ placement: 'leastLoaded', idleMs: 500 })
export class LightRegister extends Register {}

export const REGISTERS: readonly GrainClass<Register>[] = [
  Register,
  ScatteredRegister,
  NearbyRegister,
  LightRegister,
];

/** Counts each call once; what happens in an order of its own is in a second record. */
@grain({ placement: 'random', idleMs: 300 })
export class Tally extends Grain {
  @state() count = 0;
  @state({ name: 'entries' }) entries: string[] = [];
  #busy = false;

  @method()
  async add(): Promise<number> {
    if (this.#busy) throw new Error(`${this.context.id}: two turns at once`);
    this.#busy = true;
    try {
      this.count++;
      await this.save();
      return this.count;
    } finally {
      this.#busy = false;
    }
  }

  @method({ idempotent: true })
  async addOnce(entry: string): Promise<void> {
    if (this.entries.includes(entry)) return;
    this.entries.push(entry);
    await this.save('entries');
  }

  /** Adds here, and then to another within this turn: two that do so to each other are a deadlock. */
  @method()
  async addBoth(other: GrainRef<Tally>): Promise<number> {
    const count = await this.add();
    await other.add();
    return count;
  }

  @method({ readOnly: true })
  async read(): Promise<{ count: number; entries: string[] }> {
    return { count: this.count, entries: this.entries };
  }

  /** The next activation must not begin before this has ended: it would read what is about to be replaced. */
  override async onDeactivate(): Promise<void> {
    await pause(3);
    await this.save('entries');
  }
}

/** Keeps nothing. */
@grain()
export class Echo extends Grain {
  #heard = 0;

  @method()
  async *count(to: number): AsyncGenerator<number> {
    for (let n = 1; n <= to; n++) {
      if (n % 7 === 0) await pause(5);
      yield n;
    }
  }

  @method({ interleave: true })
  async slowly(ms: number): Promise<number> {
    await pause(ms);
    return ms;
  }

  @method({ oneWay: true })
  async hear(): Promise<void> {
    this.#heard++;
  }

  @method({ readOnly: true })
  async heard(): Promise<number> {
    return this.#heard;
  }
}

/** Saves nothing, and loses nothing when it moves. */
@grain()
export class Traveller extends Grain {
  @state() steps = 0;
  #seen = new Set<string>();

  /** How many steps it has taken, and how many silos it has seen since it began. */
  @method()
  async step(): Promise<readonly [steps: number, silos: number]> {
    this.#seen.add(this.context.silo);
    return [++this.steps, this.#seen.size];
  }

  @method()
  async move(silo: string): Promise<void> {
    moveTo(this, silo);
  }

  override onDehydrate(): unknown {
    return this.#seen;
  }

  override onRehydrate(seen: Set<string>): void {
    this.#seen = seen;
  }
}

@grain({ placement: { workers: 2 } })
export class Worker extends Grain {
  @method()
  async double(n: number): Promise<number> {
    await pause(1);
    return 2 * n;
  }
}

export const GRAINS: readonly GrainClass[] = [...REGISTERS, Tally, Echo, Traveller, Worker];

/** A silo that somebody named may have gone meanwhile: then the grain stays. */
function moveTo({ context }: Grain, silo: string): void {
  try {
    context.migrate(silo);
  } catch (error) {
    if (!(error instanceof NoSiloError)) throw error;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
