import { Grain, grain, method, Silo, state } from 'granary';

@grain()
export class Counter extends Grain {
  @state() count = 0;

  @method()
  async increment(by = 1): Promise<number> {
    this.count += by;
    await this.save();
    return this.count;
  }
}

const silo = await Silo.start({ grains: [Counter] });
console.log(await silo.grain(Counter, 'page').increment());
await silo.stop();
