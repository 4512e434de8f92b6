import { once } from 'node:events';
import { Grain, grain, method, Silo, state } from 'granary';

const QUIET_MS = 200;

/**
 * An auction that closes when nobody has bid for a while. Each bid makes the timer anew: one of the same
 * name makes room. A timer ends with its activation, so what it is for is kept in the state, and `onActivate`
 * makes it again. While it runs the grain stays in memory (`keepAlive`); what must happen even if the silo
 * dies and nobody calls is a matter for a reminder.
 */
@grain()
class Auction extends Grain {
  @state() best: { readonly bidder: string; readonly amount: number } | undefined;
  @state() closesAt: number | undefined;
  @state() sold = false;
  readonly #closing = new EventTarget();

  override async onActivate(): Promise<void> {
    if (this.closesAt !== undefined && !this.sold) this.#closeAt(this.closesAt);
  }

  @method()
  async bid(bidder: string, amount: number): Promise<boolean> {
    if (this.sold || amount <= (this.best?.amount ?? 0)) return false;
    this.best = { bidder, amount };
    this.closesAt = this.context.now() + QUIET_MS;
    await this.save();
    this.#closeAt(this.closesAt);
    return true;
  }

  /** Answers when the auction has closed. */
  @method({ interleave: true })
  async result(): Promise<string> {
    if (!this.sold) await once(this.#closing, 'closed');
    return `sold to ${this.best?.bidder} for ${this.best?.amount}`;
  }

  /** The tick is a turn: no bid comes in between. */
  #closeAt(time: number): void {
    const dueMs = Math.max(0, time - this.context.now());
    this.context.timer('close', { dueMs, keepAlive: true }, async () => {
      this.sold = true;
      await this.save();
      this.#closing.dispatchEvent(new Event('closed'));
    });
  }
}

const silo = await Silo.start({ grains: [Auction] });
const auction = silo.grain(Auction, 'painting');
console.log(`ada bids 100: ${await auction.bid('ada', 100)}`);
console.log(`bob bids 90: ${await auction.bid('bob', 90)}`);
console.log(`bob bids 120: ${await auction.bid('bob', 120)}`);
console.log(await auction.result());
console.log(`ada bids 500: ${await auction.bid('ada', 500)}`);
await silo.stop();
