import {
  type DeactivationReason,
  Grain,
  type GrainRef,
  type GrainStore,
  grain,
  memory,
  method,
  type RecordId,
  state,
} from 'granary';

const ran: string[] = [];
export const reasons: string[] = [];
/** What a turn waits for, by the name that it was given. */
export const gates = new Map<string, { open(): void; readonly opened: Promise<void>; reached(): void }>();

export function gate(name: string): { readonly reached: Promise<void>; open(): void } {
  let reached = () => {};
  let open = () => {};
  const arrival = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  gates.set(name, { open, opened, reached });
  return { reached: arrival, open };
}

@grain({ idempotencyKeys: 3 })
export class Till extends Grain {
  @state() cents = 0;
  @state() notes: string[] = [];
  @state({ name: 'audit' }) entries = 0;

  override async onDeactivate(reason: DeactivationReason): Promise<void> {
    reasons.push(`${this.key} ${reason}`);
    if (this.key.startsWith('saves at the end')) await this.save();
  }

  @method()
  async put(cents: number, options: { save?: boolean; fail?: 'before' | 'after'; wait?: string } = {}) {
    ran.push(`${this.key} ${cents}`);
    if (options.fail === 'before') throw new RangeError('refused');
    this.cents += cents;
    if (options.save !== false) await this.save();
    if (options.wait) {
      gates.get(options.wait)?.reached();
      await gates.get(options.wait)?.opened;
    }
    if (options.fail === 'after') throw new RangeError('broken');
    return { total: this.cents };
  }

  @method()
  async take(cents: number): Promise<number> {
    this.cents -= cents;
    return this.cents;
  }

  /** May run beside a call with a key. */
  @method({ interleave: true })
  async note(text: string): Promise<string[]> {
    this.notes.push(text);
    await this.save();
    return this.notes;
  }

  @method({ readOnly: true })
  async total(): Promise<number> {
    return this.cents;
  }

  @method()
  async *all(): AsyncGenerator<number> {
    yield this.cents;
  }

  @method()
  async audit(): Promise<void> {
    this.entries++;
    await this.save('audit');
  }

  /** Changes what another record has, and fails. */
  @method()
  async spoil(): Promise<void> {
    this.entries++;
    throw new RangeError('spoilt');
  }

  @method({ readOnly: true })
  async audited(): Promise<number> {
    return this.entries;
  }

  /** Waits for a call of its own that may run beside it. */
  @method()
  async putNoted(cents: number, text: string): Promise<string[]> {
    ran.push(`${this.key} ${cents}`);
    this.cents += cents;
    return this.grain(Till, this.key).note(text);
  }

  @method({ interleave: true })
  async refresh(): Promise<void> {
    await this.reload();
  }

  @method()
  async again(): Promise<void> {
    await this.reload();
  }

  @method()
  async empty(): Promise<number> {
    await this.clear();
    return this.cents;
  }

  @method()
  async unfit(): Promise<void> {
    this.cents++;
    this.notes = [(() => {}) as never];
  }

  @method()
  async long(bytes: number): Promise<string> {
    this.cents++;
    return 'x'.repeat(bytes);
  }

  @method()
  async life(): Promise<string> {
    return this.context.activationId;
  }

  @method()
  async close(): Promise<void> {
    this.context.deactivate();
  }
}

@grain({ placement: { workers: 1 } })
export class Worker extends Grain {
  @method() async run(): Promise<void> {}
}

@grain()
export class Forgetful extends Grain {
  @state({ name: 'other' }) a = 1;
  @method() async run(): Promise<void> {}
}

@grain({ reentrant: 'callChain' })
export class Chained extends Grain {
  @state() a = 1;
  @method() async run(): Promise<void> {}
}

export const GRAINS = [Till, Worker, Forgetful, Chained];

/** Notes what is written, and fails once when it is told to. */
export class Watched implements GrainStore {
  readonly #store = memory();
  failNext: 'before write' | 'after write' | undefined;
  writes: string[] = [];
  /** What the next read waits for after it has read. */
  holdRead: { reached(): void; readonly opened: Promise<void> } | undefined;

  open = () => this.#store.open();
  close = () => this.#store.close();
  clear = (id: RecordId, etag: string | undefined) => this.#store.clear(id, etag);

  async read(id: RecordId) {
    const record = await this.#store.read(id);
    const hold = this.holdRead;
    this.holdRead = undefined;
    hold?.reached();
    await hold?.opened;
    return record;
  }

  async write(id: RecordId, data: Uint8Array, etag: string | undefined): Promise<string> {
    this.#fail('before write');
    const next = await this.#store.write(id, data, etag);
    this.writes.push(`${id.key}/${id.name}`);
    this.#fail('after write');
    return next;
  }

  #fail(when: NonNullable<Watched['failNext']>): void {
    if (this.failNext !== when) return;
    this.failNext = undefined;
    throw new Error(`the disk is on fire (${when})`);
  }
}

export const runsOf = (key: string) => ran.filter((each) => each.startsWith(`${key} `)).length;
export const keyed = (till: GrainRef<Till>, idempotencyKey: string) => till.$with({ idempotencyKey });
