import { Grain, grain, method, type ReminderTick, reminder, state } from 'granary';
import { type Order, Transfer } from './transfer.ts';

/** One payment of a standing order. */
export interface Payment {
  /** When it was due, in milliseconds since 1970. */
  readonly dueAt: number;
  /** False: there was too little money. */
  readonly moved: boolean;
}

/**
 * Pays the same order again and again, each time once. The reminder is in the store, so it comes whatever
 * silos crash, and comes again when nobody knows whether it was heard. But it always comes with the time at
 * which it was due, and that names the transfer: who asks for one that was made gets its answer.
 */
@grain()
export class StandingOrder extends Grain {
  @state() order: Order = { from: '', to: '', cents: 0 };
  @state() payments: readonly Payment[] = [];

  /** Begins to pay, the first time at once. */
  @method({ idempotent: true })
  async begin(order: Order, periodMs: number): Promise<void> {
    this.order = order;
    await this.save();
    await this.context.remind('pay', { dueMs: 0, periodMs, missed: 'all' });
  }

  /** Pays no more. Returns what it has paid. */
  @method({ idempotent: true })
  async cancel(): Promise<readonly Payment[]> {
    await this.context.forget('pay');
    return this.payments;
  }

  @reminder()
  async pay({ scheduledAt: dueAt }: ReminderTick): Promise<void> {
    if (this.payments.some((payment) => payment.dueAt === dueAt)) return;
    const moved = await this.grain(Transfer, `${this.key}-${dueAt}`).move(this.order);
    this.payments = [...this.payments, { dueAt, moved }];
    await this.save();
  }
}
