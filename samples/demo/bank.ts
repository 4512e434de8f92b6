import { type CallOptions, type Client, mapGrains } from 'granary';
import { Account } from '../bank/account.ts';
import { StandingOrder } from '../bank/standing-order.ts';
import { type Order, Transfer } from '../bank/transfer.ts';

/** What every account is opened with, in cents. */
export const OPENING = 1_000_00;
/** The most that one transfer moves: some will find too little money, and be refused. */
const MOST = 400_00;
/**
 * All that the demo asks for may be asked for again: it gives up after 30 s, for which silos do not come and
 * go, and makes each attempt anew when it is not answered in 10 s.
 */
const PATIENCE: CallOptions = {
  timeoutMs: 30_000,
  retry: { attempts: 1_000, attemptTimeoutMs: 10_000, maxDelayMs: 100 },
};
/** Standing orders, and how often each pays. */
const STANDING_ORDERS = 10;
const PERIOD_MS = 1_000;

/**
 * The bank's customers: they open accounts, make transfers, each with an id of its own, repeat what failed
 * with the same id until it is answered, and have standing orders paid. They keep books of their own of what
 * every account must have.
 */
export class Bank {
  /** Keys of the accounts, new ones with every run: a cluster may know those of earlier runs. */
  readonly accounts: readonly string[];
  /** What each account must have, in cents. */
  readonly expected: number[];
  moved = 0;
  refused = 0;
  /** Calls to grains that have ended: a transfer is called once, and calls the accounts. */
  calls = 0;
  /** Payments of standing orders that moved money, and that found too little. */
  paid = 0;
  unpaid = 0;
  /** Payments that did not come when they were due, or came twice. */
  irregular = 0;
  /** The longest that one transfer took, with its repetitions. */
  slowestMs = 0;
  readonly #client: Client;
  readonly #run: string;
  #begun = 0;

  constructor(client: Client, accounts: number) {
    this.#client = client;
    this.#run = Date.now().toString(36);
    this.accounts = Array.from({ length: accounts }, (_, index) => `${this.#run}.${index}`);
    this.expected = this.accounts.map(() => OPENING);
  }

  get transfers(): number {
    return this.moved + this.refused;
  }

  async open(): Promise<void> {
    await all(this.#accounts(), (account) => account.open(OPENING));
    await all(this.#orders(), (order, index) => order.begin(this.#standing(index), PERIOD_MS));
  }

  /** Ends the standing orders, and takes what they have paid into the books. */
  async endOrders(): Promise<void> {
    const statements = await all(this.#orders(), (order) => order.cancel());
    for (const [index, payments] of statements.entries()) {
      for (const [n, { dueAt, moved }] of payments.entries()) {
        const before = payments[n - 1];
        if (before && dueAt !== before.dueAt + PERIOD_MS) this.irregular++;
        if (moved) this.paid++;
        else this.unpaid++;
        if (moved) this.#book(this.#standing(index));
      }
    }
  }

  /** Makes transfers, so many at a time, until `done`. */
  async trade(callers: number, done: () => boolean): Promise<void> {
    await Promise.all(
      Array.from({ length: callers }, async () => {
        while (!done()) await this.#transfer();
      }),
    );
  }

  /** What the accounts say that they have, in cents. */
  async balances(): Promise<number[]> {
    return all(this.#accounts(), (account) => account.balance());
  }

  #accounts() {
    return this.accounts.map((key) => this.#client.grain(Account, key).$with(PATIENCE));
  }

  #orders() {
    return Array.from({ length: STANDING_ORDERS }, (_, index) =>
      this.#client.grain(StandingOrder, `${this.#run}-rent-${index}`).$with(PATIENCE),
    );
  }

  /** Each pays from one account to the next. */
  #standing(index: number): Order {
    const at = (n: number) => this.accounts[n % this.accounts.length] as string;
    return { from: at(index), to: at(index + 1), cents: 100 + index };
  }

  #book({ from, to, cents }: Order): void {
    (this.expected[this.accounts.indexOf(from)] as number) -= cents;
    (this.expected[this.accounts.indexOf(to)] as number) += cents;
  }

  async #transfer(): Promise<void> {
    const id = `${this.#run}-${++this.#begun}`;
    const [from, to] = this.#two();
    const order: Order = {
      from: this.accounts[from] as string,
      to: this.accounts[to] as string,
      cents: 1 + Math.floor(Math.random() * MOST),
    };
    const start = performance.now();
    const moved = await this.#client.grain(Transfer, id).$with(PATIENCE).move(order);
    this.slowestMs = Math.max(this.slowestMs, performance.now() - start);
    this.calls += moved ? 3 : 2;
    if (!moved) {
      this.refused++;
      return;
    }
    this.moved++;
    this.#book(order);
  }

  #two(): [from: number, to: number] {
    const size = this.accounts.length;
    const from = Math.floor(Math.random() * size);
    return [from, (from + 1 + Math.floor(Math.random() * (size - 1))) % size];
  }
}

/** Asks all of them, not too many at a time. Rejects with the first error. */
async function all<Ref extends object, Value>(
  refs: readonly Ref[],
  ask: (ref: Ref, index: number) => Promise<Value>,
): Promise<Value[]> {
  const results = await mapGrains(refs, ask);
  return results.map((result) => {
    if ('error' in result) throw result.error;
    return result.value;
  });
}
