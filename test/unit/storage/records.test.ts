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
    isKeyed: () => false,
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

test('a save that waits behind a reload does not write old fields over what that has found', async () => {
  const store = memory();
  const { note, records, spoiled } = await notes(store);
  await records.save(note, 'state');
  const other = await notes(store);
  other.note.text = 'of somebody else';
  await other.records.save(other.note, 'state');
  const etag = other.records.etag('state');
  const reloaded = records.reload(note, 'state');
  const saved = records.save(note, 'state');
  await expect(saved).rejects.toMatchObject({ code: 'STATE_CONFLICT', grain: 'Note/n' });
  await reloaded;
  expect([note.text, spoiled]).toEqual(['of somebody else', ['stateConflict']]);
  expect((await store.read(id))?.etag).toBe(etag);
});

test('a save behind a reload that finds nothing new is written', async () => {
  const { note, records } = await notes(memory());
  await records.save(note, 'state');
  note.text = 'newer';
  await Promise.all([records.reload(note, 'state'), records.save(note, 'state')]);
  await records.reload(note, 'state');
  expect(note.text).toBe('newer');
});

test('saves that overlap are written one after the other, each with the fields as they were', async () => {
  const store = memory();
  const written: string[] = [];
  const { note, records } = await notes({
    ...slow(store),
    write: async (record, data, etag) => {
      written.push(`begin ${data.length}`);
      const result = await slow(store).write(record, data, etag);
      written.push(`end ${data.length}`);
      return result;
    },
  });
  const saves: Promise<void>[] = [];
  for (const text of ['a', 'bb', 'ccc']) {
    note.text = text;
    saves.push(records.save(note, 'state'));
  }
  await Promise.all(saves);
  const lengths = written.filter((_, at) => at % 2 === 0).map((line) => Number(line.slice(6)));
  expect(lengths).toEqual([lengths[0], Number(lengths[0]) + 1, Number(lengths[0]) + 2]);
  expect(written.filter((_, at) => at % 2 === 1)).toEqual(lengths.map((length) => `end ${length}`));
  expect((await store.read(id))?.etag).toBe(records.etag('state'));
});

test('a save that fails spoils the activation, and does not hold up what waits behind it', async () => {
  const store = memory();
  const { note, records, spoiled } = await notes(slow(store));
  await records.save(note, 'state');
  await store.write(id, new Uint8Array(1), records.etag('state'));
  const failed = [records.save(note, 'state'), records.clear(note, 'state')].map((write) =>
    expect(write).rejects.toMatchObject({ code: 'STATE_CONFLICT', grain: 'Note/n' }),
  );
  const current = records.isCurrent();
  await Promise.all(failed);
  expect(await current).toBe(false);
  expect(spoiled).toEqual(['stateConflict', 'stateConflict']);
});

test('a store that throws instead of rejecting is a failed save like any other', async () => {
  const { note, records, spoiled } = await notes({
    ...slow(memory()),
    write: () => {
      throw new Error('not today');
    },
  });
  await expect(records.save(note, 'state')).rejects.toMatchObject({ code: 'STORE_FAILED', grain: 'Note/n' });
  await expect(records.save(note, 'state')).rejects.toThrow(/writing record 'state' failed: .*not today/);
  expect(spoiled).toEqual(['storeFailed', 'storeFailed']);
});
