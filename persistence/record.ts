import { StateConflictError } from '../framework/errors.ts';
import type { RecordId } from '../framework/storage/grain-store.ts';

/**
 * One string for a record, different for different records: the lengths tell where each part ends, whatever
 * the parts hold.
 */
export function recordKey(id: RecordId): string {
  return `${id.type.length}:${id.key.length}:${id.type}${id.key}${id.name}`;
}

/** An order of records, the same in every process. The key comes first: it is what differs most often. */
export function compareRecords(a: RecordId, b: RecordId): number {
  if (a.key !== b.key) return a.key < b.key ? -1 : 1;
  if (a.type !== b.type) return a.type < b.type ? -1 : 1;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** The grain that a record belongs to, as errors name it. */
export function grainOf(id: RecordId): string {
  return `${id.type}/${id.key}`;
}

/** The error of every store here when the stored etag is not the one that was read. */
export function conflictOn(id: RecordId): StateConflictError {
  return new StateConflictError(
    `${grainOf(id)}: the stored record '${id.name}' is not the one that was read: ` +
      'somebody else wrote or cleared it; read it again first',
    { grain: grainOf(id) },
  );
}
