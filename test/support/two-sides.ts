import { Grain, type GrainClass, type GrainRef, type GrainStore, grain, method, Silo, state } from 'granary';
import { expect } from 'vitest';

@grain({ name: 'Till' })
class Till extends Grain {
  @state() euros = 0;
  @state() receipts: Date[] = [];

  @method()
  async pay(euros: number): Promise<number> {
    this.euros += euros;
    this.receipts.push(new Date(this.euros));
    return this.euros;
  }
}

@grain({ name: 'Till' })
class LaterTill extends Grain {
  @state({ version: 2, migrate: { 2: ({ euros, ...rest }) => ({ ...rest, cents: Number(euros) * 100 }) } })
  cents = 0;

  @method()
  async pay(euros: number): Promise<number> {
    this.cents += euros * 100;
    return this.cents / 100;
  }
}

const KEYS = 20;

/**
 * Two silos that do not know of each other share a store, as the sides of a split do. Both make the same
 * calls with keys at once, each until it is answered: all take effect once, and both hear the same. Then the
 * class changes. Each store is given the same records by whoever opens it.
 */
export async function keyedOnTwoSides(open: () => GrainStore): Promise<void> {
  const key = `till ${Math.random()}`;
  const start = (Class: GrainClass) =>
    Silo.start({ grains: [Class], stores: { default: open() }, log: 'silent' });
  {
    await using here = await start(Till);
    await using there = await start(Till);
    let conflicts = 0;
    const pay = async (till: GrainRef<Till>, n: number): Promise<number> => {
      for (;;) {
        try {
          return await till.$with({ idempotencyKey: `order ${n}` }).pay(n);
        } catch (error) {
          expect(error).toMatchObject({ code: 'STATE_CONFLICT' });
          conflicts++;
        }
      }
    };
    for (let n = 1; n <= KEYS; n++) {
      const [one, other] = await Promise.all([here, there].map((silo) => pay(silo.grain(Till, key), n)));
      expect([one, other]).toEqual([(n * (n + 1)) / 2, (n * (n + 1)) / 2]);
    }
    expect(conflicts).toBeGreaterThan(0);
  }
  {
    await using later = await start(LaterTill);
    const till = later.grain(LaterTill, key);
    expect(await till.$with({ idempotencyKey: `order ${KEYS}` }).pay(KEYS)).toBe(210);
    expect(await till.$with({ idempotencyKey: 'later' }).pay(0.5)).toBe(210.5);
  }
  await using old = await start(Till);
  await expect(old.grain(Till, key).pay(1)).rejects.toMatchObject({
    code: 'STATE_VERSION',
    stored: 2,
    known: 1,
  });
}
