import { Silo } from 'granary';
import { Room } from './room.ts';

await using silo = await Silo.start({ grains: [Room] });
const lobby = silo.grain(Room, 'lobby');

/** Reads the room until somebody says goodbye. */
async function listen(name: string, after: number): Promise<void> {
  for await (const { number, from, text } of lobby.read(after)) {
    console.log(`${name} hears #${number} ${from}: ${text}`);
    if (text === 'goodbye') break;
  }
}

await lobby.say('ada', 'is anybody here?');
const readers = [listen('bob', 0), listen('eve', 1)]; // Bob wants to know what he missed.
await lobby.say('bob', 'I am');
await lobby.say('ada', 'goodbye');
await Promise.all(readers);
