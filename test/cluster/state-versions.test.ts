import {
  Grain,
  type GrainClass,
  type GrainRef,
  type GrainStore,
  grain,
  memory,
  method,
  type RecordId,
  Silo,
  type StateOptions,
  state,
} from 'granary';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { failure } from '../support/places.ts';

const id: RecordId = { type: 'Purse', key: 'ada', name: 'state' };

@grain({ name: 'Purse' })
class First extends Grain {
  @state() owner = 'nobody';
  @state() euros = 0;

  @method()
  async put(euros: number, owner = this.owner): Promise<void> {
    this.euros += euros;
    this.owner = owner;
    await this.save();
  }

  @method({ readOnly: true })
  async look() {
    return { owner: this.owner, euros: this.euros };
  }

  @method()
  async again(): Promise<void> {
    await this.reload();
  }
}

@grain({ name: 'Purse' })
class Second extends Grain {
  @state({
    version: 2,
    migrate: {
      2: ({ euros, ...stored }: { euros: number }) => ({ ...stored, cents: Math.round(euros * 100) }),
    },
  })
  cents = 0;
  @state() owner = 'nobody';

  @method()
  async put(cents: number): Promise<void> {
    this.cents += cents;
    await this.save();
  }

  @method({ readOnly: true })
  async look() {
    return { owner: this.owner, cents: this.cents };
  }

  @method()
  async forget(): Promise<void> {
    await this.clear();
  }

  @method()
  async again(): Promise<number> {
    await this.reload();
    return this.cents;
  }
}

/** Of the same version as `First`, with a field more and one less. */
@grain({ name: 'Purse' })
class Wider extends Grain {
  @state() euros = 0;
  @state() colour = 'brown';

  @method()
  async paint(colour: string): Promise<void> {
    this.colour = colour;
    await this.save();
  }

  @method({ readOnly: true })
  async look() {
    return { euros: this.euros, colour: this.colour };
  }
}

/** What a silo with one class does on the store that all share. */
async function withSilo<G extends Grain, T>(
  Class: GrainClass<G>,
  store: GrainStore,
  act: (ref: GrainRef<G>, silo: Silo) => Promise<T>,
): Promise<T> {
  await using silo = await Silo.start({ grains: [Class], stores: { default: store }, log: 'silent' });
  return await act(silo.grain(Class, 'ada'), silo);
}

describe('a record of an older version', () => {
  test('goes through the steps when it is read, and has its new version with the next save', async () => {
    const store = memory();
    await withSilo(First, store, (purse) => purse.put(1.5, 'ada'));
    const before = await store.read(id);
    await withSilo(Second, store, async (purse) => {
      expect(await purse.look()).toEqual({ owner: 'ada', cents: 150 });
      expect(await purse.again()).toBe(150);
      expect(await store.read(id)).toEqual(before); // who only reads, writes nothing
      await purse.put(25);
    });
    expect((await store.read(id))?.data[0]).toBe(2);
    expect(await withSilo(Second, store, (purse) => purse.look())).toEqual({ owner: 'ada', cents: 175 });
  });

  test('goes through all steps from its own version on, each once and in order', async () => {
    const store = memory();
    const ran: string[] = [];
    const step = (made: number) => (stored: Record<string, unknown>) => {
      ran.push(`${made} of ${Object.keys(stored)}`);
      return { [`v${made}`]: true };
    };
    const classOf = (version: number, steps: number[]) => {
      @grain({ name: 'Purse' })
      class Purse extends Grain {
        @state({ version, migrate: Object.fromEntries(steps.map((made) => [made, step(made)])) })
        v4 = false;

        @method()
        async keep(): Promise<boolean> {
          await this.save();
          return this.v4;
        }
      }
      return Purse;
    };
    await withSilo(classOf(2, [2]), store, (purse) => purse.keep());
    expect(ran).toEqual([]); // nothing was stored
    expect(await withSilo(classOf(4, [2, 3, 4]), store, (purse) => purse.keep())).toBe(true);
    expect(ran).toEqual(['3 of v4', '4 of v3']);
    expect(await withSilo(classOf(4, [3, 4]), store, (purse) => purse.keep())).toBe(true);
    expect(ran).toHaveLength(2);
  });

  test('for which there is no step any more is refused by name, and left alone', async () => {
    const store = memory();
    await withSilo(First, store, (purse) => purse.put(1));
    const before = await store.read(id);
    @grain({ name: 'Purse' })
    class Third extends Grain {
      @state({ version: 3, migrate: { 3: (stored) => stored } }) cents = 0;
      @method() async put(): Promise<void> {
        await this.save();
      }
    }
    const error = await withSilo(Third, store, (purse) => failure(purse.put()));
    expect(error).toMatchObject({ code: 'STATE_VERSION', stored: 1, known: 3, grain: 'Purse/ada' });
    expect(error.message).toMatch(/no migrate step makes 2 of it/);
    expect(await store.read(id)).toEqual(before);
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('no such currency');
      },
      /from version 1 to 2 threw: Error: no such currency/,
    ],
    ['waits', async () => ({}), /returned a promise, and must not wait; return the fields/],
    ['gives nothing', () => undefined as unknown as object, /returned no plain object/],
    ['gives no plain object', () => [], /returned no plain object/],
  ])('whose step %s fails the activation, writes nothing, and is tried again', async (_how, step, text) => {
    const store = memory();
    await withSilo(First, store, (purse) => purse.put(2));
    const before = await store.read(id);
    let broken = true;
    @grain({ name: 'Purse' })
    class Clumsy extends Grain {
      @state({ version: 2, migrate: { 2: (stored) => (broken ? step() : stored) } }) euros = 0;

      override async onDeactivate(): Promise<void> {
        await this.save();
      }

      @method() async look(): Promise<number> {
        return this.euros;
      }
    }
    await withSilo(Clumsy, store, async (purse) => {
      const calls = await Promise.all([failure(purse.look()), failure(purse.look())]);
      for (const error of calls) {
        expect(error).toMatchObject({ name: 'InvalidStateError', code: 'INVALID_STATE', grain: 'Purse/ada' });
        expect(error.message).toMatch(text);
      }
      expect(await store.read(id)).toEqual(before);
      broken = false;
      expect(await purse.look()).toBe(2);
    });
  });
});

describe('a record of newer code', () => {
  test('is refused by name, and nothing is overwritten', async () => {
    const store = memory();
    await withSilo(Second, store, (purse) => purse.put(175));
    const before = await store.read(id);
    await withSilo(First, store, async (purse, silo) => {
      for (const call of [purse.look(), purse.put(1)]) {
        expect(await failure(call)).toMatchObject({
          ...{ name: 'StateVersionError', code: 'STATE_VERSION', retryable: false },
          ...{ stored: 2, known: 1, grain: 'Purse/ada' },
        });
      }
      expect(silo.activations).toBe(0);
    });
    expect(await store.read(id)).toEqual(before);
  });

  test('that is written while an older activation lives is not overwritten by it either', async () => {
    const store = memory();
    await withSilo(First, store, async (old) => {
      await old.put(1);
      await withSilo(Second, store, (purse) => purse.put(75));
      expect(await failure(old.again())).toMatchObject({ code: 'STATE_VERSION' });
      expect(await old.look()).toEqual({ owner: 'nobody', euros: 1 }); // as it was before the reload
      expect(await failure(old.put(1))).toMatchObject({ code: 'STATE_CONFLICT' });
      expect(await failure(old.put(1))).toMatchObject({ code: 'STATE_VERSION' });
    });
    expect(await withSilo(Second, store, (purse) => purse.look())).toEqual({ owner: 'nobody', cents: 175 });
  });

  test('may be cleared by its own code, and is the first version again for older code', async () => {
    const store = memory();
    await withSilo(Second, store, async (purse) => {
      await purse.put(5);
      await purse.forget();
      expect(await purse.look()).toEqual({ owner: 'nobody', cents: 0 });
    });
    expect(await withSilo(First, store, (purse) => purse.look())).toEqual({ owner: 'nobody', euros: 0 });
  });
});

describe('fields that the class does not have', () => {
  test('stay in the record when it is saved, in both directions', async () => {
    const store = memory();
    await withSilo(First, store, (purse) => purse.put(1, 'ada'));
    await withSilo(Wider, store, (purse) => purse.paint('red'));
    await withSilo(First, store, async (purse) => {
      await purse.put(1);
      await purse.again();
      await purse.put(1);
    });
    expect(await withSilo(Wider, store, (purse) => purse.look())).toEqual({ euros: 3, colour: 'red' });
    expect(await withSilo(First, store, (purse) => purse.look())).toEqual({ euros: 3, owner: 'ada' });
  });

  test('make records no larger where there are none', async () => {
    const store = memory();
    await withSilo(First, store, (purse) => purse.put(1, 'ada'));
    const { data } = (await store.read(id)) as { data: Uint8Array };
    expect(data[0]).toBe(1);
    expect(data).toHaveLength(1 + 1 + (1 + 5 + 1 + 3) + (1 + 5 + 1)); // format, map, owner, euros
  });

  test('go with the record when it is cleared', async () => {
    const store = memory();
    @grain({ name: 'Purse' })
    class Cleaner extends Grain {
      @method() async clean(): Promise<void> {
        await this.clear();
        await this.save();
      }
      @state() euros = 7;
    }
    await withSilo(Wider, store, (purse) => purse.paint('red'));
    await withSilo(Cleaner, store, (purse) => purse.clean());
    expect(await withSilo(Wider, store, (purse) => purse.look())).toEqual({ euros: 7, colour: 'brown' });
  });
});

describe('a schema of a field', () => {
  const classOf = (schema: NonNullable<StateOptions['schema']>) => {
    @grain({ name: 'Purse' })
    class Checked extends Grain {
      @state({ schema }) owner: unknown = 'default';

      @method() async look(): Promise<unknown> {
        return this.owner;
      }

      @method() async write(owner: unknown): Promise<void> {
        this.owner = owner;
        await this.save();
      }

      @method() async again(): Promise<void> {
        await this.reload();
      }
    }
    return Checked;
  };

  test('makes of the stored value what the grain gets', async () => {
    const store = memory();
    await withSilo(classOf(z.any()), store, (purse) => purse.write('  ada '));
    expect(await withSilo(classOf(z.string().trim()), store, (purse) => purse.look())).toBe('ada');
  });

  test('that refuses it fails the activation by name, with the path; nothing is written', async () => {
    const store = memory();
    await withSilo(classOf(z.any()), store, (purse) => purse.write({ names: ['ada', 7] }));
    const before = await store.read(id);
    const strict = classOf(z.object({ names: z.array(z.string()) }));
    const error = await withSilo(strict, store, (purse) => failure(purse.write('x')));
    expect(error).toMatchObject({ code: 'INVALID_STATE', path: 'owner.names[1]', grain: 'Purse/ada' });
    expect(error.message).toMatch(/^Purse\/ada: record 'state': owner\.names\[1\]: /);
    expect(await store.read(id)).toEqual(before);
  });

  test('is not asked about a default, nor about what the grain saves', async () => {
    const store = memory();
    await withSilo(classOf(z.number()), store, async (purse) => {
      expect(await purse.look()).toBe('default');
      await purse.write('still no number');
      expect(await failure(purse.again())).toMatchObject({ code: 'INVALID_STATE', path: 'owner' });
      expect(await purse.look()).toBe('still no number');
    });
  });

  test.each([
    ['waits', z.any().refine(async () => true), /answers with a promise/],
    [
      'waits, and fails then',
      {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: () => Promise.reject(new Error('late')),
        },
      } as const,
      /with a promise/,
    ],
    [
      'throws',
      {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: () => {
            throw new Error('not mine');
          },
        },
      } as const,
      /its schema threw: Error: not mine/,
    ],
  ])('that %s is a failure by name too', async (_how, schema, text) => {
    const store = memory();
    await withSilo(classOf(z.any()), store, (purse) => purse.write(1));
    const error = await withSilo(classOf(schema), store, (purse) => failure(purse.look()));
    expect(error).toMatchObject({ code: 'INVALID_STATE', path: 'owner' });
    expect(error.message).toMatch(text);
  });

  test('is asked after the steps', async () => {
    const store = memory();
    await withSilo(classOf(z.any()), store, (purse) => purse.write('7'));
    @grain({ name: 'Purse' })
    class Counted extends Grain {
      @state({ version: 2, migrate: { 2: ({ owner }) => ({ coins: Number(owner) }) }, schema: z.number() })
      coins = 0;

      @method() async look(): Promise<number> {
        return this.coins;
      }
    }
    expect(await withSilo(Counted, store, (purse) => purse.look())).toBe(7);
  });
});
