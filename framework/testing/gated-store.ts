import type { GrainStore, RecordId, StoredRecord } from '../storage/grain-store.ts';

/**
 * A store as one silo of a test cluster sees it: after the silo has crashed nothing that it still runs
 * reaches the store any more, as if its process were gone. What was on its way when it crashed may have been
 * written, or not.
 */
export class GatedStore implements GrainStore {
  readonly #store: GrainStore;
  #crashed = false;

  constructor(store: GrainStore) {
    this.#store = store;
  }

  crash(): void {
    this.#crashed = true;
  }

  open(): Promise<void> {
    return this.#store.open();
  }

  read(id: RecordId): Promise<StoredRecord | undefined> {
    return this.#pass(() => this.#store.read(id));
  }

  write(id: RecordId, data: Uint8Array, etag: string | undefined): Promise<string> {
    return this.#pass(() => this.#store.write(id, data, etag));
  }

  clear(id: RecordId, etag: string | undefined): Promise<void> {
    return this.#pass(() => this.#store.clear(id, etag));
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #pass<T>(act: () => Promise<T>): Promise<T> {
    if (this.#crashed) return new Promise<T>(() => {});
    const result = await act();
    return this.#crashed ? new Promise<T>(() => {}) : result;
  }
}
