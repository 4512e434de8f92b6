import { GranaryError, StateConflictError, StoreError } from '../errors.ts';
import type { Grain } from '../grain/grain.ts';
import type { GrainType, RecordSpec } from '../grain/grain-type.ts';
import { type GrainId, keyOf } from '../identity/grain-id.ts';
import { pack, type RefBinder, unpack } from '../serialization/codec.ts';
import type { GrainStore, RecordId, StoredRecord } from './grain-store.ts';

/** First byte of a record: the format of what follows, a packed object of the fields. */
const FORMAT = 1;

export type RecordEvent = 'recordRead' | 'recordSaved' | 'recordCleared';

/** What an activation does for its records. */
export interface RecordOwner {
  readonly id: GrainId;
  readonly type: GrainType;
  /** Who references in the state are bound to. */
  readonly binder: RefBinder;
  /** A fresh instance, for its defaults. */
  defaults(): Grain;
  /** A record could not be written as expected: what is in memory is not to be trusted any more. */
  spoiled(reason: 'stateConflict' | 'storeFailed'): void;
  /** What the store has acknowledged: the etag that this activation held before, and the one now. */
  tell(event: RecordEvent, record: string, before: string | undefined, etag: string | undefined): void;
}

/**
 * The persisted fields of one activation: which record they are in, and the etag that each was read or
 * written with.
 */
export class Records {
  readonly #owner: RecordOwner;
  readonly #stores: ReadonlyMap<string, GrainStore>;
  readonly #etags: (string | undefined)[];
  /**
   * One write at a time: the next one needs the etag of the one before. Those that wait for the one under
   * way; undefined when there is none.
   */
  #line: (() => void)[] | undefined;

  constructor(owner: RecordOwner, stores: ReadonlyMap<string, GrainStore>) {
    this.#owner = owner;
    this.#stores = stores;
    this.#etags = new Array(owner.type.records.length).fill(undefined);
  }

  etag(name: string): string | undefined {
    return this.#etags[this.#index(name)];
  }

  /** Reads all records into a new instance. */
  async load(grain: Grain): Promise<void> {
    const { records } = this.#owner.type;
    const [first] = records;
    // Most classes have one, and every first call of a grain comes through here.
    if (first && records.length === 1) return this.#loaded(grain, 0, first, await this.#read(first));
    const stored = await Promise.all(records.map((spec) => this.#read(spec)));
    for (const [index, spec] of records.entries()) this.#loaded(grain, index, spec, stored[index]);
  }

  #loaded(grain: Grain, index: number, spec: RecordSpec, stored: StoredRecord | undefined): void {
    this.#assign(grain, index, spec, stored, grain);
    this.#owner.tell('recordRead', spec.name, undefined, stored?.etag);
  }

  /**
   * Whether the store still holds what was read or written here last. Between the writes of turns that run:
   * beside one, its own etag would look like somebody else's.
   */
  async isCurrent(): Promise<boolean> {
    const { records } = this.#owner.type;
    return this.#inTurn(async () => {
      const stored = await Promise.all(records.map((spec) => this.#read(spec)));
      return stored.every((record, index) => record?.etag === this.#etags[index]);
    });
  }

  async save(grain: Grain, name: string): Promise<void> {
    const index = this.#index(name);
    const spec = this.#spec(index);
    // As the fields are now: what the grain changes while earlier writes are under way belongs to a later
    // save.
    const data = encode(grain, spec);
    // What `#inTurn` does, without its promises: this is what grains do most.
    if (this.#line) await this.#waitInLine(this.#line);
    else this.#line = [];
    try {
      const before = this.#etags[index];
      const etag = await this.#store(spec).write(this.#recordId(spec), data, before);
      this.#etags[index] = etag;
      this.#owner.tell('recordSaved', name, before, etag);
    } catch (error) {
      throw this.#spoiled(error, spec);
    } finally {
      this.#leaveLine();
    }
  }

  async reload(grain: Grain, name: string): Promise<void> {
    const index = this.#index(name);
    const spec = this.#spec(index);
    await this.#inTurn(async () => {
      const stored = await this.#read(spec);
      const before = this.#etags[index];
      this.#assign(grain, index, spec, stored, this.#owner.defaults());
      this.#owner.tell('recordRead', name, before, stored?.etag);
    });
  }

  async clear(grain: Grain, name: string): Promise<void> {
    const index = this.#index(name);
    const spec = this.#spec(index);
    await this.#inTurn(async () => {
      const before = this.#etags[index];
      try {
        await this.#store(spec).clear(this.#recordId(spec), before);
      } catch (error) {
        throw this.#spoiled(error, spec);
      }
      this.#assign(grain, index, spec, undefined, this.#owner.defaults());
      this.#owner.tell('recordCleared', name, before, undefined);
    });
  }

  #assign(
    grain: Grain,
    index: number,
    spec: RecordSpec,
    stored: StoredRecord | undefined,
    defaults: Grain,
  ): void {
    const values = stored ? this.#decode(spec, stored.data) : {};
    // Not before: the etag of a record that cannot be read must not let old fields be written over it.
    this.#etags[index] = stored?.etag;
    for (const field of spec.fields) {
      const source = Object.hasOwn(values, field) ? values : (defaults as unknown as Record<string, unknown>);
      (grain as unknown as Record<string, unknown>)[field] = source[field];
    }
  }

  #decode(spec: RecordSpec, data: Uint8Array): Record<string, unknown> {
    try {
      if (data[0] !== FORMAT) throw new Error(`format ${data[0]}, this version of Granary reads ${FORMAT}`);
      return unpack(data.subarray(1), this.#owner.binder) as Record<string, unknown>;
    } catch (cause) {
      throw new StoreError(`${this.#owner.id}: record '${spec.name}' cannot be read: ${String(cause)}`, {
        grain: this.#owner.id,
        cause,
      });
    }
  }

  async #read(spec: RecordSpec): Promise<StoredRecord | undefined> {
    try {
      return await this.#store(spec).read(this.#recordId(spec));
    } catch (error) {
      throw this.#named(error, `reading record '${spec.name}'`);
    }
  }

  async #inTurn<T>(step: () => Promise<T>): Promise<T> {
    if (this.#line) await this.#waitInLine(this.#line);
    else this.#line = [];
    try {
      return await step();
    } finally {
      this.#leaveLine();
    }
  }

  #waitInLine(line: (() => void)[]): Promise<void> {
    return new Promise((resolve) => line.push(resolve));
  }

  /** Whoever is first in line goes on, in the same line. */
  #leaveLine(): void {
    const next = this.#line?.shift();
    if (next) next();
    else this.#line = undefined;
  }

  /** A write failed: what the error is to the grain's code. */
  #spoiled(error: unknown, spec: RecordSpec): Error {
    this.#owner.spoiled(error instanceof StateConflictError ? 'stateConflict' : 'storeFailed');
    return this.#named(error, `writing record '${spec.name}'`);
  }

  #named(error: unknown, doing: string): Error {
    if (error instanceof GranaryError) return error;
    const { id } = this.#owner;
    return new StoreError(`${id}: ${doing} failed: ${String(error)}`, { grain: id, cause: error });
  }

  #store(spec: RecordSpec): GrainStore {
    return this.#stores.get(spec.store) as GrainStore;
  }

  #recordId(spec: RecordSpec): RecordId {
    return { type: this.#owner.type.name, key: keyOf(this.#owner.id), name: spec.name };
  }

  #index(name: string): number {
    const index = this.#owner.type.records.findIndex((spec) => spec.name === name);
    if (index >= 0) return index;
    const known = this.#owner.type.records.map((spec) => `'${spec.name}'`).join(', ') || 'none';
    throw new TypeError(
      `${this.#owner.id} has no record '${name}' (it has: ${known}); decorate a field with @state()`,
    );
  }

  #spec(index: number): RecordSpec {
    return this.#owner.type.records[index] as RecordSpec;
  }
}

function encode(grain: Grain, spec: RecordSpec): Uint8Array {
  const values: Record<string, unknown> = {};
  for (const field of spec.fields) values[field] = (grain as unknown as Record<string, unknown>)[field];
  const packed = pack(values, 'state');
  // From the pool: a small array of its own costs as much as packing.
  const data = Buffer.allocUnsafe(packed.length + 1);
  data[0] = FORMAT;
  data.set(packed, 1);
  return data;
}
