import type { GrainStore, RecordId, StoredRecord } from '../framework/storage/grain-store.ts';
import { conflictOn, recordKey } from './record.ts';

/**
 * A store in this process's memory: two silos given the same one share it. What it holds ends with the
 * object, not with `close`, so that a silo can be stopped and started again on it.
 */
export function memory(): GrainStore {
  return new MemoryStore();
}

class MemoryStore implements GrainStore {
  readonly #records = new Map<string, StoredRecord>();
  // One counter for all records: it never goes back, so a record that was cleared and written again cannot
  // show an old etag.
  #lastEtag = 0;

  async open(): Promise<void> {}

  async close(): Promise<void> {}

  async read(id: RecordId): Promise<StoredRecord | undefined> {
    const record = this.#records.get(recordKey(id));
    return record && { data: new Uint8Array(record.data), etag: record.etag };
  }

  async write(id: RecordId, data: Uint8Array, etag: string | undefined): Promise<string> {
    const key = this.#checkedKey(id, etag);
    const record = { data: new Uint8Array(data), etag: String(++this.#lastEtag) };
    this.#records.set(key, record);
    return record.etag;
  }

  async clear(id: RecordId, etag: string | undefined): Promise<void> {
    this.#records.delete(this.#checkedKey(id, etag));
  }

  #checkedKey(id: RecordId, etag: string | undefined): string {
    const key = recordKey(id);
    if (this.#records.get(key)?.etag !== etag) throw conflictOn(id);
    return key;
  }
}
