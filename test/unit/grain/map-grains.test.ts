import { InvalidConfigError, type MapGrainsOptions, mapGrains } from 'granary';
import { describe, expect, test } from 'vitest';

/** Calls that end when the test says so. */
class Calls {
  readonly open = new Map<number, (outcome: number | Error) => void>();
  most = 0;

  readonly make = (ref: number): Promise<number> =>
    new Promise((resolve, reject) => {
      this.open.set(ref, (outcome) => {
        this.open.delete(ref);
        if (outcome instanceof Error) reject(outcome);
        else resolve(outcome);
      });
      this.most = Math.max(this.most, this.open.size);
    });

  end(ref: number, outcome: number | Error = ref * 10): void {
    this.open.get(ref)?.(outcome);
  }

  /** Resolves when just these are under way. */
  async are(...refs: number[]): Promise<void> {
    await expect.poll(() => [...this.open.keys()], { interval: 1 }).toEqual(refs);
  }
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('mapGrains', () => {
  test('gives an item for each reference, in their order, whatever ends first', async () => {
    const calls = new Calls();
    const mapped = mapGrains([1, 2, 3], calls.make);
    await calls.are(1, 2, 3);
    for (const ref of [3, 1, 2]) calls.end(ref);
    expect(await mapped).toEqual([
      { ref: 1, value: 10 },
      { ref: 2, value: 20 },
      { ref: 3, value: 30 },
    ]);
  });

  test('takes whatever can be iterated, a text too', async () => {
    const items = await mapGrains('ab', (letter) => letter.toUpperCase());
    expect(items).toEqual([
      { ref: 'a', value: 'A' },
      { ref: 'b', value: 'B' },
    ]);
  });

  test('has no more calls under way than it may, and starts the next as one ends', async () => {
    const calls = new Calls();
    const mapped = mapGrains(upTo(5), calls.make, { concurrency: 2 });
    await calls.are(0, 1);
    calls.end(1);
    await calls.are(0, 2);
    calls.end(2);
    calls.end(0);
    await calls.are(3, 4);
    calls.end(3);
    calls.end(4);
    expect(await mapped).toHaveLength(5);
    expect(calls.most).toBe(2);
  });

  test('has a hundred under way unless told otherwise', async () => {
    const calls = new Calls();
    const mapped = mapGrains(upTo(250), calls.make);
    await calls.are(...upTo(100));
    for (const ref of upTo(250)) {
      await expect.poll(() => calls.open.has(ref), { interval: 0 }).toBe(true);
      calls.end(ref);
    }
    expect((await mapped).map((item) => 'value' in item && item.value)).toEqual(upTo(250).map((n) => n * 10));
    expect(calls.most).toBe(100);
  });

  test('keeps the errors with their references, thrown or rejected, and goes on', async () => {
    const [thrown, rejected] = [new Error('thrown'), new Error('rejected')];
    const items = await mapGrains(
      upTo(4),
      (ref) => {
        if (ref === 1) throw thrown;
        return ref === 2 ? Promise.reject(rejected) : ref;
      },
      { concurrency: 1 },
    );
    expect(items).toEqual([
      { ref: 0, value: 0 },
      { ref: 1, error: thrown },
      { ref: 2, error: rejected },
      { ref: 3, value: 3 },
    ]);
  });

  test('takes from an async iterable only what there is room for', async () => {
    const calls = new Calls();
    let taken = 0;
    async function* endless(): AsyncGenerator<number> {
      for (;;) yield taken++;
    }
    const stop = new AbortController();
    const mapped = mapGrains(endless(), calls.make, { concurrency: 3, signal: stop.signal });
    await calls.are(0, 1, 2);
    expect(taken).toBe(3);
    calls.end(1);
    await calls.are(0, 2, 3);
    expect(taken).toBe(4);
    stop.abort();
    for (const ref of [0, 2, 3]) calls.end(ref);
    expect(await mapped).toHaveLength(4);
  });

  test('starts nothing after an abort, waits for what runs, and closes the iterable', async () => {
    const calls = new Calls();
    const stop = new AbortController();
    let closed = false;
    function* refs(): Generator<number> {
      try {
        for (let n = 0; ; n++) yield n;
      } finally {
        closed = true;
      }
    }
    const mapped = mapGrains(refs(), calls.make, { concurrency: 2, signal: stop.signal });
    await calls.are(0, 1);
    stop.abort();
    await expect.poll(() => closed, { interval: 1 }).toBe(true);
    calls.end(1);
    calls.end(0);
    expect(await mapped).toEqual([
      { ref: 0, value: 0 },
      { ref: 1, value: 10 },
    ]);
    expect(await mapGrains([1, 2], calls.make, { signal: stop.signal })).toEqual([]);
  });

  test('does not wait for a reference that may never come, once it is aborted', async () => {
    const stop = new AbortController();
    async function* stuck(): AsyncGenerator<number> {
      yield 1;
      await new Promise(() => {});
    }
    const mapped = mapGrains(stuck(), (ref) => ref, { signal: stop.signal });
    setImmediate(() => stop.abort());
    expect(await mapped).toEqual([{ ref: 1, value: 1 }]);
  });

  test('rejects with what the iterable throws, when what was started has ended', async () => {
    const calls = new Calls();
    function* broken(): Generator<number> {
      yield 1;
      throw new Error('no more');
    }
    let over = false;
    const mapped = mapGrains(broken(), calls.make).catch((error: Error) => {
      over = true;
      return error.message;
    });
    await calls.are(1);
    await new Promise(setImmediate);
    expect(over).toBe(false);
    calls.end(1);
    expect(await mapped).toBe('no more');
  });

  test.each([
    [{ concurrency: 0 }, 'concurrency is 0'],
    [{ concurrency: 1.5 }, 'concurrency is 1.5'],
    [{ concurrency: '9' as never }, 'concurrency is 9'],
    [{ concurency: 9 } as MapGrainsOptions, "no option 'concurency'"],
  ])('refuses %o', async (options, text) => {
    const mapped = mapGrains([1], (ref) => ref, options);
    await expect(mapped).rejects.toThrow(InvalidConfigError);
    await expect(mapped).rejects.toThrow(text);
  });

  test('refuses what is no list of references, and a call that is no function', async () => {
    const nothing = mapGrains(undefined as never, () => 1);
    await expect(nothing).rejects.toThrow(InvalidConfigError);
    await expect(nothing).rejects.toThrow('the references are no iterable');
    const noCall = mapGrains([1], undefined as never);
    await expect(noCall).rejects.toThrow(InvalidConfigError);
    await expect(noCall).rejects.toThrow('say what to call');
  });
});
