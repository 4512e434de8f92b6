import { Client, Grain, grain, inProcess, method, type ObserverRef, Observers, Silo, state } from 'granary';

/** What a program has that watches a parcel. */
interface Watcher {
  moved(place: string): void;
}

@grain()
class Parcel extends Grain {
  @state() place = 'the depot';
  @state() watchers = new Observers<Watcher>(); // saved: whoever watches is told after a crash, too

  @method()
  async watch(watcher: ObserverRef<Watcher>): Promise<string> {
    this.watchers.add(watcher);
    await this.save();
    return this.place;
  }

  @method()
  async move(place: string): Promise<string> {
    this.place = place;
    await this.save();
    const { reached, dropped } = await this.watchers.notify((watcher) => watcher.moved(place));
    if (dropped > 0) await this.save();
    return `${reached} told, ${dropped} forgotten`;
  }
}

const transport = inProcess();
await using silo = await Silo.start({ grains: [Parcel], transport });
const parcel = silo.grain(Parcel, '1Z-999');

/** A phone is a client, with an object that grains may call until its owner looks away. */
async function phone(owner: string): Promise<{ lookAway(): void; client: Client }> {
  const client = await Client.connect({ transport });
  const show = (place: string) => console.log(`${owner} sees it at ${place}`);
  const watcher = client.observe<Watcher>({ moved: show });
  show(await client.grain(Parcel, '1Z-999').watch(watcher));
  return { client, lookAway: () => void client.unobserve(watcher) };
}

const ada = await phone('ada');
const bob = await phone('bob');
console.log(await parcel.move('the bridge'));
bob.lookAway(); // without a word to the parcel, which notices
console.log(await parcel.move('the door'));
for (const { client } of [ada, bob]) await client.close();
