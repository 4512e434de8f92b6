import { Client, Grain, grain, inProcess, method, Silo, state } from 'granary';

/** A game that is played in memory, and moves with everything in it. */
@grain()
class Game extends Grain {
  @state() round = 0; // goes along by itself, saved or not
  #hands = new Map<string, number[]>(); // goes along since the two hooks say so

  @method()
  async deal(player: string, card: number): Promise<number> {
    const hand = this.#hands.get(player) ?? [];
    this.#hands.set(player, [...hand, card]);
    return ++this.round;
  }

  @method({ readOnly: true })
  async hand(player: string): Promise<{ silo: string; cards: number[] }> {
    return { silo: this.context.silo, cards: this.#hands.get(player) ?? [] };
  }

  @method()
  async moveTo(silo: string): Promise<void> {
    this.context.migrate(silo); // when this turn is done
  }

  override onDehydrate(): unknown {
    return this.#hands;
  }

  override onRehydrate(hands: Map<string, number[]>): void {
    this.#hands = hands;
  }
}

/** Only where there is a graphics card; and of those rather where the data is. */
@grain({ requires: { gpu: true }, prefers: { zone: 'west' } })
class Renderer extends Grain {
  @method({ readOnly: true })
  async place(): Promise<string> {
    return this.context.silo;
  }
}

const transport = inProcess();
const common = { transport, grains: [Game, Renderer] };
const a = await Silo.start({ ...common, name: 'a', labels: { zone: 'east', gpu: true } });
const b = await Silo.start({ ...common, name: 'b', labels: { zone: 'west', gpu: true } });
const c = await Silo.start({ ...common, name: 'c', labels: { zone: 'west', gpu: false } });
const client = await Client.connect({ transport });

const game = client.grain(Game, 'table-1');
await game.deal('ada', 7);
await game.moveTo('a');
console.log('moved:', await game.hand('ada'));
await game.deal('ada', 11);

await a.drain(); // cordoned off and emptied; what it had is elsewhere, with its memory
const { silo, cards } = await game.hand('ada');
console.log(`drained: a has ${a.activations} grains, ada still has ${cards.join(' and ')}`, silo !== 'a');

console.log('renders on:', await client.grain(Renderer, 'film').place());

await client.close();
for (const each of [a, b, c]) await each.stop();
