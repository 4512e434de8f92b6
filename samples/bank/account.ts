import { Grain, grain, method, state } from 'granary';
import type { Transfer } from './transfer.ts';

/** Answers that an account keeps. */
const ANSWERS = 64;

/**
 * Money, in whole cents. A silo may be lost after an account has changed and before anybody heard of it; then
 * the call is made again. So an account keeps its answers together with its money, in one record: asked again
 * on behalf of the same transfer, it gives the same answer and leaves the money alone.
 */
@grain()
export class Account extends Grain {
  @state() status: 'new' | 'open' | 'closed' = 'new';
  @state() cents = 0;
  /** By question, the oldest first: `<step>/<key of the transfer>`. */
  @state() answers = new Map<string, boolean>();

  /** Opens the account with some money in it, once. */
  @method({ idempotent: true })
  async open(cents: number): Promise<void> {
    if (this.status !== 'new') return;
    this.cents = whole(cents);
    this.status = 'open';
    await this.save();
  }

  /** From now on nothing goes in or out, but what comes back. */
  @method({ idempotent: true })
  async close(): Promise<void> {
    this.status = 'closed';
    await this.save();
  }

  @method({ readOnly: true })
  async balance(): Promise<number> {
    return this.cents;
  }

  /** The silo that it is active on. */
  @method({ interleave: true, readOnly: true })
  async place(): Promise<string> {
    return this.context.silo;
  }

  /** Takes money out for a transfer. False: there is not enough, or the account is not open. */
  @method({ idempotent: true })
  async debit(transfer: string, cents: number): Promise<boolean> {
    return this.#once(
      `debit/${transfer}`,
      -whole(cents),
      () => this.status === 'open' && cents <= this.cents,
    );
  }

  /** Puts the money of a transfer in. False: the account is not open. */
  @method({ idempotent: true })
  async credit(transfer: string, cents: number): Promise<boolean> {
    return this.#once(`credit/${transfer}`, whole(cents), () => this.status === 'open');
  }

  /** Puts back what a transfer has taken out. Never refused: the money has to be somewhere. */
  @method({ idempotent: true })
  async refund(transfer: string, cents: number): Promise<boolean> {
    return this.#once(`refund/${transfer}`, whole(cents), () => true);
  }

  async #once(question: string, change: number, allows: () => boolean): Promise<boolean> {
    const given = this.answers.get(question);
    if (given !== undefined) return given;
    if (this.answers.size >= ANSWERS) await this.#forget();
    const answer = allows();
    if (answer) this.cents += change;
    this.answers.set(question, answer);
    await this.save();
    return answer;
  }

  /** Forgets old answers, but none that may be asked for again: the transfers know if they are through. */
  async #forget(): Promise<void> {
    const old = [...this.answers.keys()].slice(0, ANSWERS / 2);
    const through = await Promise.all(
      old.map((question) =>
        this.grain<Transfer>('Transfer', question.slice(question.indexOf('/') + 1)).isThrough(),
      ),
    );
    for (const [index, question] of old.entries()) if (through[index]) this.answers.delete(question);
    if (this.answers.size >= ANSWERS) {
      throw new Error(`account ${this.key}: ${ANSWERS} transfers are under way; try again later`);
    }
  }
}

/** Money is counted, not measured: no fractions, nothing that a number cannot hold. */
function whole(cents: number): number {
  if (Number.isSafeInteger(cents) && cents >= 0) return cents;
  throw new RangeError(`${cents} is not a number of cents: it must be whole, and not negative`);
}
