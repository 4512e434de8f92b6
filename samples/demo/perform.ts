import { setTimeout as pause } from 'node:timers/promises';
import { type GrainStore, Silo } from 'granary';
import { Account } from '../bank/account.ts';
import { StandingOrder } from '../bank/standing-order.ts';
import { Transfer } from '../bank/transfer.ts';
import { Bank, OPENING } from './bank.ts';
import type { DemoOptions } from './options.ts';
import { grouped, Picture, type Screen } from './picture.ts';
import { type Proof, prove } from './proof.ts';
import { type Stage, seconds } from './stage.ts';

/** How often the demo looks at how far it is. */
const TICK_MS = 50;

/** Opens the accounts, makes transfers while silos come and go, then proves where the money is. */
export async function perform(stage: Stage, options: DemoOptions, screen: Screen): Promise<number> {
  const bank = new Bank(stage.client, options.accounts);
  screen.write(`A bank on ${stage.title}.\n`);
  await bank.open();
  screen.write(
    `${grouped(options.accounts)} accounts are open, with ${grouped(OPENING / 100)}.00 in each.\n\n`,
  );
  const picture = new Picture(stage, bank, screen, options.plain);
  try {
    await trade(stage, bank, options, picture);
  } finally {
    picture.end();
  }
  const { lines, exitCode } = await compare(stage, bank);
  screen.write(`\n${[...summary(stage, bank), '', ...lines].join('\n')}\n`);
  return exitCode;
}

async function trade(stage: Stage, bank: Bank, options: DemoOptions, picture: Picture): Promise<void> {
  const start = performance.now();
  const share = () =>
    Math.max(
      (performance.now() - start) / (options.seconds * 1000),
      bank.transfers / options.transfers,
      failed ? 1 : 0,
    );
  const reaches = async (wanted: number) => {
    while (share() < wanted) await pause(TICK_MS);
  };
  let played = false;
  let failed = false;
  const play = stage.play({ reaches }, picture.tell, bank.accounts).finally(() => {
    played = true;
  });
  const transfers = bank
    .trade(options.callers, () => played && share() >= 1)
    .catch((error) => {
      failed = true;
      throw error;
    });
  await Promise.all([play, transfers]);
}

async function compare(stage: Stage, bank: Bank): Promise<Proof> {
  await bank.endOrders();
  const grains = await bank.balances();
  await stage.clear();
  return prove({
    opened: OPENING * bank.accounts.length,
    expected: bank.expected,
    irregular: bank.irregular,
    grains,
    stored: stage.store && (await stored(stage.store, bank.accounts)),
  });
}

/** What is in the store, read by a silo of its own that has met none of the others. */
async function stored(store: GrainStore, accounts: readonly string[]): Promise<number[]> {
  await using reader = await Silo.start({
    ...{ grains: [Account, Transfer, StandingOrder], log: 'error' },
    stores: { default: store },
  });
  return await Promise.all(accounts.map((key) => reader.grain(Account, key).balance()));
}

function summary(stage: Stage, bank: Bank): string[] {
  return [
    `transfers        ${grouped(bank.moved)} moved, ${grouped(bank.refused)} refused for lack of money`,
    `moves            ${grouped(stage.places.moves)} times an account was active on another silo than before`,
    `standing orders  ${grouped(bank.paid)} payments, ${grouped(bank.unpaid)} refused, ` +
      `${grouped(bank.irregular)} missed or made twice`,
    `calls            ${grouped(stage.retried)} failed, and were tried again with the same id`,
    `slowest transfer ${seconds(bank.slowestMs)}`,
  ];
}
