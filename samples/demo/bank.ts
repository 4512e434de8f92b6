import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from 'granary';
import { Account } from '../bank/account.ts';
import { type Order, Transfer } from '../bank/transfer.ts';

/** What every account is opened with, in cents. */
export const OPENING = 1_000_00;
/** The most that one transfer moves: some will find too little money, and be refused. */
const MOST = 400_00;
/** Between a call that failed and its repetition. */
const PAUSE_MS = 50;
/** When the demo gives a transfer up: silos come and go, but not for so long. */
const PATIENCE_MS = 30_000;

/**
 * The bank's customers: they open accounts and make transfers, each with an id of its own, and repeat what
 * failed with the same id until it is answered. They keep books of their own of what every account must have.
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
  /** Calls that failed with an error, and were repeated. */
  failed = 0;
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
    await Promise.all(
      this.accounts.map((key) => this.#answered(() => this.#client.grain(Account, key).open(OPENING))),
    );
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
    return Promise.all(
      this.accounts.map((key) => this.#answered(() => this.#client.grain(Account, key).balance())),
    );
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
    const moved = await this.#answered(() => this.#client.grain(Transfer, id).move(order));
    this.slowestMs = Math.max(this.slowestMs, performance.now() - start);
    this.calls += moved ? 3 : 2;
    if (!moved) {
      this.refused++;
      return;
    }
    this.moved++;
    (this.expected[from] as number) -= order.cents;
    (this.expected[to] as number) += order.cents;
  }

  #two(): [from: number, to: number] {
    const size = this.accounts.length;
    const from = Math.floor(Math.random() * size);
    return [from, (from + 1 + Math.floor(Math.random() * (size - 1))) % size];
  }

  /** The answer to a call, which is repeated while it fails in a way that may pass. */
  async #answered<T>(call: () => Promise<T>): Promise<T> {
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      try {
        return await call();
      } catch (error) {
        const { retryable } = error as { retryable?: boolean };
        if (!retryable || performance.now() > end) throw error;
        this.failed++;
      }
      await pause(PAUSE_MS);
    }
  }
}
