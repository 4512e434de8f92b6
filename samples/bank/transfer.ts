import { Grain, grain, method, state } from 'granary';
import { Account } from './account.ts';

export interface Order {
  readonly from: string;
  readonly to: string;
  readonly cents: number;
}

/**
 * Moves money between two accounts exactly once, however often it is asked to. Two grains cannot be changed
 * in one step, so this is a saga: it saves which step comes next, takes the step, saves again. If a silo is
 * lost in between, the step is taken again, and the account answers as it did before.
 *
 * The grain's key is the transfer's id. Whoever wants the transfer chooses it, and repeats the call with the
 * same one until it is answered.
 */
@grain()
export class Transfer extends Grain {
  @state() next: 'begin' | 'debit' | 'credit' | 'refund' | 'moved' | 'refused' = 'begin';
  @state() order: Order = { from: '', to: '', cents: 0 };
  /** What `next` is in the store: what is not saved yet may still be undone. */
  #saved = this.next;

  override async onActivate(): Promise<void> {
    this.#saved = this.next;
  }

  /** True: the money has moved. False: it is where it was. */
  @method({ idempotent: true })
  async move(order: Order): Promise<boolean> {
    if (this.next === 'begin') await this.#begin(order);
    const { from, to, cents } = this.order;
    if (from !== order.from || to !== order.to || cents !== order.cents) {
      throw new Error(`transfer ${this.key} is another one: ${cents} cents from ${from} to ${to}`);
    }
    if (this.next === 'debit') {
      const taken = await this.grain(Account, from).debit(this.key, cents);
      await this.#then(taken ? 'credit' : 'refused');
    }
    if (this.next === 'credit') {
      const arrived = await this.grain(Account, to).credit(this.key, cents);
      await this.#then(arrived ? 'moved' : 'refund');
    }
    if (this.next === 'refund') {
      await this.grain(Account, from).refund(this.key, cents);
      await this.#then('refused');
    }
    // Nobody is likely to ask again soon.
    this.context.deactivate();
    return this.next === 'moved';
  }

  /** Whether it will ask nothing of any account any more. Accounts ask, also while one is answering it. */
  @method({ readOnly: true, interleave: true })
  async isThrough(): Promise<boolean> {
    return this.#saved === 'moved' || this.#saved === 'refused';
  }

  async #begin(order: Order): Promise<void> {
    if (order.from === order.to) throw new Error(`transfer ${this.key}: from and to are one account`);
    this.order = order;
    await this.#then('debit');
  }

  async #then(next: Transfer['next']): Promise<void> {
    this.next = next;
    await this.save();
    this.#saved = next;
  }
}
