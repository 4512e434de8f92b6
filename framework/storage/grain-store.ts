/**
 * What names a record: `name` is the record's own within the grain, `'state'` by default. `key` is the
 * grain's canonical key.
 */
export interface RecordId {
  readonly type: string;
  readonly key: string;
  readonly name: string;
}

export interface StoredRecord {
  readonly data: Uint8Array;
  /** Opaque; new with every write, also of equal data. */
  readonly etag: string;
}

export const STORE_METHODS = ['open', 'read', 'write', 'clear', 'close'] as const;

/** Whether a value that somebody passes as a store can be one. */
export function isGrainStore(store: unknown): store is GrainStore {
  const methods = store as Partial<GrainStore> | null | undefined;
  return STORE_METHODS.every((method) => typeof methods?.[method] === 'function');
}

/**
 * Where grains keep their records. Atomic per record, conditional on the etag. Every method may reject with
 * `StoreError`; after a `write` or `clear` that did, the outcome is unknown.
 */
export interface GrainStore {
  /** Connects and brings the schema up to date; safe from several silos at once, and when already open. */
  open(): Promise<void>;
  /** The record, or undefined when there is none. */
  read(id: RecordId): Promise<StoredRecord | undefined>;
  /**
   * Writes if the stored etag is `etag` (undefined: if there is no record), else rejects with
   * `StateConflictError`. Returns the new etag.
   */
  write(id: RecordId, data: Uint8Array, etag: string | undefined): Promise<string>;
  /**
   * Removes the record under the same condition as `write`. With an undefined etag, a record that exists is a
   * conflict.
   */
  clear(id: RecordId, etag: string | undefined): Promise<void>;
  /**
   * Finishes what is under way and disconnects. A store shared by several silos closes when the last one that
   * opened it has closed it.
   */
  close(): Promise<void>;
}
