import { Grain, grain, memory, method, StoreError, state } from 'granary';
import { expect, test } from 'vitest';
import { construct, type GrainHost } from '../../../framework/grain/grain.ts';
import { grainTypeOf } from '../../../framework/grain/grain-type.ts';
import type { GrainStore } from '../../../framework/storage/grain-store.ts';
import { type RecordOwner, Records } from '../../../framework/storage/records.ts';

@grain()
class Note extends Grain {
  @state() text = 'empty';

  @method()
  async read(): Promise<string> {
    return this.text;
  }
}

const id = { type: 'Note', key: 'n', name: 'state' };

async function notes(store: GrainStore): Promise<{ note: Note; records: Records; spoiled: string[] }> {
  await store.open();
  const make = () => construct(Note, {} as GrainHost);
  const spoiled: string[] = [];
  const owner: RecordOwner = {
    id: 'Note/n',
    type: grainTypeOf(Note),
    binder: undefined,
    defaults: make,
    spoiled: (reason) => spoiled.push(reason),
    tell: () => {},
  };
  const records = new Records(owner, new Map([['default', store]]));
  const note = make();
  await records.load(note);
  return { note, records, spoiled };
}

/** Writes at once, and says so late. */
function slow(store: GrainStore): GrainStore {
  return {
    open: () => store.open(),
    read: (record) => store.read(record),
    async write(record, data, etag) {
      const written = await store.write(record, data, etag);
      await new Promise((resolve) => setImmediate(resolve));
      return written;
    },
    clear: (record, etag) => store.clear(record, etag),
    close: () => store.close(),
  };
}

test('a save that is under way does not look like a write of somebody else', async () => {
  const { note, records } = await notes(slow(memory()));
  const saved = records.save(note, 'state');
  const current = records.isCurrent();
  const savedAgain = records.save(note, 'state');
  await Promise.all([saved, savedAgain]);
  expect(await current).toBe(true);
});

test('a record that cannot be read is not overwritten by the fields of before', async () => {
  const store = memory();
  const { note, records, spoiled } = await notes(store);
  await records.save(note, 'state');
  const etag = await store.write(id, Uint8Array.of(99, 1, 2, 3), records.etag('state'));
  await expect(records.reload(note, 'state')).rejects.toThrow(StoreError);
  await expect(records.save(note, 'state')).rejects.toMatchObject({ code: 'STATE_CONFLICT' });
  expect(spoiled).toEqual(['stateConflict']);
  expect((await store.read(id))?.etag).toBe(etag);
});
