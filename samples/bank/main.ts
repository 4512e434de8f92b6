import { Silo } from 'granary';
import { Account } from './account.ts';
import { Transfer } from './transfer.ts';

await using silo = await Silo.start({ grains: [Account, Transfer] });
const ada = silo.grain(Account, 'ada');
const bob = silo.grain(Account, 'bob');
await ada.open(100_00);
await bob.open(0);

async function transfer(id: string, from: string, to: string, cents: number): Promise<void> {
  const moved = await silo.grain(Transfer, id).move({ from, to, cents });
  const [inAda, inBob] = await Promise.all([ada.balance(), bob.balance()]);
  console.log(`${id}: ${moved ? 'moved' : 'refused'}; ada has ${euros(inAda)}, bob has ${euros(inBob)}`);
}

await transfer('rent', 'ada', 'bob', 70_00);
await transfer('rent', 'ada', 'bob', 70_00); // Did the first one arrive? Asking again costs nothing.
await transfer('car', 'ada', 'bob', 500_00); // More than there is.
await bob.close();
await transfer('gift', 'ada', 'bob', 10_00); // Taken from ada, refused by bob, given back to ada.

function euros(cents: number): string {
  return (cents / 100).toFixed(2);
}
