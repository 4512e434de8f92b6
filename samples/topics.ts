/**
 * Events: orders are published, each stock handles its own, and a watcher follows those that it chose. One
 * process, a log in memory; with `topics: jetStream({ servers })` the same on NATS, for many silos.
 */
import { type EventMeta, Grain, grain, method, Silo, subscribe } from 'granary';

interface Order {
  readonly item: string;
  readonly count: number;
}

const done: string[] = [];

/** Gets the events of its own key: `Stock/tea` those that are published to `tea`. */
@grain()
class Stock extends Grain {
  #left = 10;

  @subscribe('orders', { tries: 2 })
  async ordered({ item, count }: Order, { seq }: EventMeta): Promise<void> {
    if (count > this.#left) throw new RangeError(`only ${this.#left} of ${item} are left`);
    this.#left -= count;
    done.push(`#${seq}: ${count} of ${item}, ${this.#left} left`);
  }
}

/** Gets the events of the keys that it has subscribed to, from where it says. */
@grain()
class Watcher extends Grain {
  #seen = 0;

  @subscribe('orders', { explicit: true })
  async ordered(): Promise<void> {
    this.#seen++;
  }

  @method()
  async watch(item: string): Promise<void> {
    await this.context.subscribe('orders', item, { from: 'start' });
  }

  @method()
  async seen(): Promise<number> {
    return this.#seen;
  }
}

const silo = await Silo.start({ grains: [Stock, Watcher], log: 'error' });

for (const count of [4, 5, 3, 1]) await silo.publish('orders', 'tea', { item: 'tea', count });
await silo.grain(Watcher, 'w').watch('tea');

// Events are handled on their own time: the lag says when there are none left.
const behind = async () => (await silo.topics.lag()).reduce((sum, { events }) => sum + events, 0);
while ((await behind()) > 0 || (await silo.grain(Watcher, 'w').seen()) < 4) await new Promise(setImmediate);

for (const line of done) console.log(line);
console.log(`the watcher has seen ${await silo.grain(Watcher, 'w').seen()}`);
for await (const { seq, attempts, error } of silo.topics.deadLetters('orders')) {
  console.log(`put aside after ${attempts} attempts: #${seq}, ${error.message}`);
}

await silo.stop();
