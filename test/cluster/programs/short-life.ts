import { Grain, grain, method } from 'granary';
import { TestCluster } from 'granary/testing';

@grain()
class Greeter extends Grain {
  @method()
  async greet(): Promise<string> {
    return 'hello';
  }
}

/** Uses a cluster for a moment, and has nothing more to do: the process must end by itself. */
{
  await using cluster = await TestCluster.start({ silos: ['a', 'b', 'c', 'd'], grains: [Greeter] });
  const greetings = Array.from({ length: 50 }, (_, key) => cluster.grain(Greeter, key).greet());
  await Promise.all(greetings);
  cluster.crash('b');
  await cluster.stop('c');
  await cluster.start('e');
  await Promise.allSettled([cluster.grain(Greeter, 7).greet(), cluster.silo('e').grain(Greeter, 8).greet()]);
}
console.log('disposed');
