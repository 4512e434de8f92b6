import { Grain, grain, method, StoreError, state } from 'granary';
import { simulate } from 'granary/testing';

/**
 * Sells tickets. Nothing in here is about repetition: who calls with an idempotency key may call again until
 * there is an answer, and has one ticket.
 */
@grain()
class BoxOffice extends Grain {
  @state() sold: string[] = [];

  @method()
  async sell(guest: string): Promise<number> {
    if (this.sold.length >= 500) throw new RangeError('sold out');
    this.sold.push(guest);
    await this.save();
    return this.sold.length;
  }

  @method({ readOnly: true })
  async guests(): Promise<string[]> {
    return this.sold;
  }
}

/** Buys tickets for so many orders from a store that often loses the answer; returns how many are sold. */
async function evening(orders: number, withKeys: boolean): Promise<number> {
  let sold = 0;
  await simulate({ seed: 1, grains: [BoxOffice] }, async (cluster) => {
    cluster.setStores({ errorsAfterWrite: 0.2 });
    for (let order = 1; order <= orders; order++) {
      const office = cluster.grain(BoxOffice, 'hamlet');
      const asked = withKeys ? office.$with({ idempotencyKey: `order ${order}` }) : office;
      while (!(await isAnswered(asked.sell(`guest ${order}`))));
    }
    cluster.setStores({ errorsAfterWrite: 0 });
    sold = (await cluster.grain(BoxOffice, 'hamlet').guests()).length;
  });
  return sold;
}

/** If not, nobody knows whether there is a ticket. */
async function isAnswered(call: Promise<number>): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    if (error instanceof StoreError) return false;
    throw error;
  }
}

console.log(`100 orders, each made until it is answered: ${await evening(100, false)} tickets sold`);
console.log(`the same with a key for each order: ${await evening(100, true)} tickets sold`);
