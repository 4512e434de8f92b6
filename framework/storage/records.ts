import { GranaryError, StateConflictError, StoreError } from '../errors.ts';
import { FIRST_VERSION } from '../grain/check-shape.ts';
import type { Grain } from '../grain/grain.ts';
import type { GrainType, RecordSpec } from '../grain/grain-type.ts';
import type { StoredFields } from '../grain/options.ts';
import { type GrainId, keyOf } from '../identity/grain-id.ts';
import { pack, type RefBinder, unpack } from '../serialization/codec.ts';
import type { GrainStore, RecordId, StoredRecord } from './grain-store.ts';
import { addAnswer, findAnswer, type KeptAnswer } from './kept-answers.ts';
import { KeyedTurn, RecordExtras } from './record-extras.ts';
import { decodeRecord, encodeRecord, type RecordContents } from './record-format.ts';
import { asKnownHere, unknownAmong } from './stored-state.ts';

/** The record that the answers of calls with idempotency keys are in. */
export const KEYED_RECORD = 'state';

/**
 * A record's name, the etag that its fields belong to, the fields, packed, their version, and those that the
 * class does not have, if any.
 */
export type CarriedRecord = readonly [
  name: string,
  etag: string | null,
  fields: Uint8Array,
  version: number,
  unknown?: Uint8Array | undefined,
];

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
  spoiled(reason: 'stateConflict' | 'storeFailed' | 'keyedCallFailed'): void;
  /** Whether the code that asks belongs to a call with an idempotency key, or to one that it waits for. */
  isKeyed(): boolean;
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
  #extras: RecordExtras | undefined;

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
    this.#take(grain, index, spec, stored, grain);
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

  save(grain: Grain, name: string): Promise<void> {
    const index = this.#index(name);
    const extras = this.#extras;
    if (extras?.keyed) return this.#unlessPart(extras.keyed, index, 'save', () => this.save(grain, name));
    return this.#write(grain, index, extras?.answers);
  }

  async #write(grain: Grain, index: number, answers: Uint8Array | undefined): Promise<void> {
    const spec = this.#spec(index);
    // As the fields are now: what the grain changes while earlier writes are under way belongs to a later
    // save.
    const data = this.#encode(grain, index, answers);
    const renewals = this.#renewals;
    // What `#inTurn` does, without its promises: this is what grains do most.
    if (this.#line) await this.#waitInLine(this.#line);
    else this.#line = [];
    try {
      if (this.#renewals !== renewals) throw this.#overtaken(spec);
      const before = this.#etags[index];
      const etag = await this.#store(spec).write(this.#recordId(spec), data, before);
      this.#etags[index] = etag;
      this.#owner.tell('recordSaved', spec.name, before, etag);
    } catch (error) {
      throw this.#spoiled(error, spec);
    } finally {
      this.#leaveLine();
    }
  }

  /** The fields as they are now, saved or not, for an activation that goes on elsewhere. */
  carried(grain: Grain): CarriedRecord[] {
    return this.#owner.type.records.map((spec, index) => {
      const etag = this.#etags[index] ?? null;
      const unknown = this.#extras?.unknown[index];
      const fields = pack(fieldsOf(grain, spec), 'state');
      return [spec.name, etag, fields, versionOf(spec), unknown && pack(unknown, 'state')];
    });
  }

  /**
   * Takes over fields that another activation had in memory, if what that one read or wrote last is still
   * what is stored, and it had the same version of the class; false when not. All of them, also those that
   * one of the two classes does not have: some saved and some not would be a state that never was.
   */
  resume(grain: Grain, carried: readonly CarriedRecord[]): boolean {
    const { records } = this.#owner.type;
    const same = records.every((spec, index) => {
      const [, etag, , version] = carried.find(([name]) => name === spec.name) ?? [];
      return etag === (this.#etags[index] ?? null) && version === versionOf(spec);
    });
    if (!same) return false;
    for (const record of carried) this.#resume(grain, record);
    return true;
  }

  #resume(grain: Grain, [name, , fields, version, unknown]: CarriedRecord): void {
    const { id, binder } = this.#owner;
    const index = this.#index(name);
    const spec = this.#spec(index);
    // What the class there did not have is as it was stored: this one may have a schema for it.
    const stored = unknown ? (unpack(unknown, binder) as StoredFields) : {};
    const known = asKnownHere({ version, fields: stored, answers: undefined }, spec, id);
    const values = { ...known, ...(unpack(fields, binder) as StoredFields) };
    this.#assign(grain, index, spec, values, grain);
  }

  async reload(grain: Grain, name: string): Promise<void> {
    const index = this.#index(name);
    const spec = this.#spec(index);
    const keyed = this.#extras?.keyed;
    if (keyed) return this.#unlessPart(keyed, index, 'reload', () => this.reload(grain, name));
    await this.#inTurn(async () => {
      const stored = await this.#read(spec);
      const before = this.#etags[index];
      this.#take(grain, index, spec, stored, this.#owner.defaults());
      if (stored?.etag !== before) this.#extrasHere().renewals++;
      this.#owner.tell('recordRead', name, before, stored?.etag);
    });
  }

  async clear(grain: Grain, name: string): Promise<void> {
    const index = this.#index(name);
    const spec = this.#spec(index);
    const keyed = this.#extras?.keyed;
    if (keyed) {
      const part = () => this.#assign(grain, index, spec, {}, this.#owner.defaults());
      return this.#unlessPart(keyed, index, 'clear', () => this.clear(grain, name), part);
    }
    await this.#inTurn(async () => {
      const before = this.#etags[index];
      try {
        await this.#store(spec).clear(this.#recordId(spec), before);
      } catch (error) {
        throw this.#spoiled(error, spec);
      }
      this.#take(grain, index, spec, undefined, this.#owner.defaults());
      this.#owner.tell('recordCleared', name, before, undefined);
    });
  }

  // ---- calls with idempotency keys
  //
  // While one runs, nothing of the record that keeps the answers is written: what it changes, and its answer,
  // are written together when it has ended, or not at all.

  /** Whether anything is read or written: it might change what a call with a key relies on. */
  get isBusy(): boolean {
    return this.#line !== undefined;
  }

  /** Resolves when what is under way has ended; something else may have begun by then. */
  ended(): Promise<void> {
    return this.#inTurn(async () => {});
  }

  answerTo(key: string): KeptAnswer | undefined {
    return findAnswer(this.#extras?.answers, key);
  }

  beginKeyed(grain: Grain): void {
    this.#extrasHere().keyed = new KeyedTurn(this.#packed(grain));
  }

  /** Writes the fields as they are now with the answer. Rejects like `save`; then the activation ends. */
  async commitKeyed(grain: Grain, answer: KeptAnswer): Promise<void> {
    const extras = this.#extrasHere();
    const keyed = extras.keyed as KeyedTurn;
    try {
      const answers = addAnswer(extras.answers, answer, this.#owner.type.idempotencyKeys);
      await this.#write(grain, this.#keyedIndex(), answers);
      extras.answers = answers;
      extras.keyed = undefined;
    } catch (error) {
      this.#fail(keyed);
      throw error;
    } finally {
      keyed.end();
    }
  }

  /** The call threw: what it has changed ends with the activation. If it has changed nothing, all goes on. */
  undoKeyed(grain: Grain): void {
    const extras = this.#extrasHere();
    const keyed = extras.keyed as KeyedTurn;
    if (this.#isAsBefore(grain, keyed)) extras.keyed = undefined;
    else this.#fail(keyed);
    keyed.end();
  }

  #fail(keyed: KeyedTurn): void {
    keyed.failed = true;
    this.#owner.spoiled('keyedCallFailed');
  }

  #isAsBefore(grain: Grain, keyed: KeyedTurn): boolean {
    try {
      return Buffer.compare(this.#packed(grain), keyed.before) === 0;
    } catch {
      return false; // it was fit to be stored before
    }
  }

  /** The fields of all records: what is not part of the commit would else outlive a call that failed. */
  #packed(grain: Grain): Uint8Array {
    return Buffer.concat(
      this.#owner.type.records.map((_, index) => pack(this.#fields(grain, index), 'state')),
    );
  }

  /**
   * What is asked for while a call with a key runs. If that call asks, it becomes part of its commit; what
   * others ask for waits until it has ended: it would write what the call has changed so far.
   */
  async #unlessPart(
    keyed: KeyedTurn,
    index: number,
    doing: 'save' | 'reload' | 'clear',
    later: () => Promise<void>,
    part: () => void = () => {},
  ): Promise<void> {
    const { id } = this.#owner;
    if (!keyed.failed && !this.#owner.isKeyed()) {
      await keyed.ended;
      return later();
    }
    if (keyed.failed) {
      const text = `${id}: ${doing}(): a call with an idempotency key failed; what it has changed ends here`;
      throw new StoreError(text, { grain: id });
    }
    if (doing === 'reload' || index !== this.#keyedIndex()) {
      const only = `it may only save() and clear() the record '${KEYED_RECORD}', which keeps its answer`;
      throw new TypeError(
        `${id}: ${doing}('${this.#spec(index).name}') in a call with an idempotency key: ${only}`,
      );
    }
    part();
  }

  #encode(grain: Grain, index: number, answers: Uint8Array | undefined): Uint8Array {
    const version = versionOf(this.#spec(index));
    const keeps = answers !== undefined && index === this.#keyedIndex();
    return encodeRecord(version, this.#fields(grain, index), keeps ? answers : undefined);
  }

  /** The fields as they are now, and those that are stored beside them. */
  #fields(grain: Grain, index: number): StoredFields {
    const fields = fieldsOf(grain, this.#spec(index));
    const unknown = this.#extras?.unknown[index];
    return unknown ? { ...unknown, ...fields } : fields;
  }

  #extrasHere(): RecordExtras {
    this.#extras ??= new RecordExtras();
    return this.#extras;
  }

  #setAnswers(index: number, answers: Uint8Array | undefined): void {
    if (index === this.#keyedIndex()) this.#extrasHere().answers = answers;
  }

  #keyedIndex(): number {
    return this.#owner.type.records.findIndex(({ name }) => name === KEYED_RECORD);
  }

  #take(
    grain: Grain,
    index: number,
    spec: RecordSpec,
    stored: StoredRecord | undefined,
    defaults: Grain,
  ): void {
    const contents = stored && this.#decode(spec, stored.data);
    const values = contents ? asKnownHere(contents, spec, this.#owner.id) : {};
    // Not before: the etag of a record that cannot be read must not let old fields be written over it.
    this.#etags[index] = stored?.etag;
    if (contents?.answers ?? this.#extras) this.#setAnswers(index, contents?.answers);
    this.#assign(grain, index, spec, values, defaults);
  }

  #assign(grain: Grain, index: number, spec: RecordSpec, values: StoredFields, defaults: Grain): void {
    const unknown = unknownAmong(values, spec);
    if (unknown ?? this.#extras) this.#extrasHere().unknown[index] = unknown;
    for (const field of spec.fields) {
      const source = Object.hasOwn(values, field) ? values : (defaults as unknown as Record<string, unknown>);
      (grain as unknown as Record<string, unknown>)[field] = source[field];
    }
  }

  #decode(spec: RecordSpec, data: Uint8Array): RecordContents {
    try {
      return decodeRecord(data, this.#owner.binder);
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

  /** Saves that were called before a reload, and come after it, have fields of the state before. */
  get #renewals(): number {
    return this.#extras?.renewals ?? 0;
  }

  #overtaken(spec: RecordSpec): StateConflictError {
    const { id } = this.#owner;
    const text = `${id}: record '${spec.name}' was written by somebody else, as reload() found`;
    return new StateConflictError(text, { grain: id });
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

function versionOf({ shape }: RecordSpec): number {
  return shape?.version ?? FIRST_VERSION;
}

function fieldsOf(grain: Grain, spec: RecordSpec): StoredFields {
  const values: StoredFields = {};
  for (const field of spec.fields) values[field] = (grain as unknown as Record<string, unknown>)[field];
  return values;
}
