import { Grain, grain, inProcess, mapGrains, method, Silo } from 'granary';

/** A sensor that is in the group of its floor for as long as it is active. */
@grain()
class Sensor extends Grain {
  #interval = 60;

  override async onActivate(): Promise<void> {
    await this.context.groups.join(this.#floor);
  }

  override async onDeactivate(): Promise<void> {
    await this.context.groups.leave(this.#floor);
  }

  get #floor(): string {
    return `floor ${this.keyParts[0]}`;
  }

  @method()
  async setInterval(seconds: number): Promise<void> {
    this.#interval = seconds;
  }

  @method({ readOnly: true })
  async read(): Promise<string> {
    if (this.key === '1/3') throw new Error('no current');
    return `every ${this.#interval} s`;
  }
}

const transport = inProcess();
await using north = await Silo.start({ name: 'north', grains: [Sensor], transport });
await using south = await Silo.start({ name: 'south', grains: [Sensor], transport });

const sensors = [1, 2, 3, 4].map((room) => north.grain(Sensor, [1, room]));

// Many grains, at most so many calls at once; what fails stays with its grain.
const read = async () => {
  for (const item of await mapGrains(sensors, (sensor) => sensor.read(), { concurrency: 2 })) {
    console.log(`${item.ref.$id}: ${'error' in item ? item.error : item.value}`);
  }
};

await read();
console.log(`in the south, too, ${(await south.groups.members('floor 1')).length} are known`);
// Every member, wherever it is, without knowing one of them. Sent, not awaited.
console.log(`${await north.groups.publish<Sensor>('floor 1', 'setInterval', 5)} sensors told`);
await read();
