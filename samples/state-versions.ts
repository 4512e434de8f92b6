import { Grain, type GrainClass, type GrainRef, grain, memory, method, Silo, state } from 'granary';

// Three versions of one class, as three deploys would bring them, one after the other, on the same store.

@grain({ name: 'Account' })
class First extends Grain {
  @state() owner = 'nobody';
  @state() euros = 0;

  @method()
  async deposit(euros: number, owner = this.owner): Promise<string> {
    this.owner = owner;
    this.euros += euros;
    await this.save();
    return `${this.owner} has ${this.euros} euros`;
  }
}

/** A field more needs no version: silos with either class may write in turn. */
@grain({ name: 'Account' })
class Second extends First {
  @state() deposits = 0;

  @method()
  override async deposit(euros: number): Promise<string> {
    this.deposits++;
    return `${await super.deposit(euros)}, after ${this.deposits} deposits here`;
  }
}

/** Money is counted in cents by now: what is stored means something else, so it has a version. */
@grain({ name: 'Account' })
class Third extends Grain {
  @state({
    version: 2,
    migrate: {
      2: ({ euros, ...stored }: { euros: number }) => ({ ...stored, cents: Math.round(euros * 100) }),
    },
  })
  cents = 0;
  @state() owner = 'nobody';
  @state() deposits = 0;

  @method()
  async deposit(cents: number): Promise<string> {
    this.cents += cents;
    this.deposits++;
    await this.save();
    return `${this.owner} has ${this.cents} cents, after ${this.deposits} deposits`;
  }
}

const stores = { default: memory() };

async function deploy<G extends Grain>(
  what: string,
  Class: GrainClass<G>,
  use: (account: GrainRef<G>) => Promise<string>,
): Promise<void> {
  await using silo = await Silo.start({ grains: [Class], stores });
  console.log(`${what}: ${await use(silo.grain(Class, 'ada'))}`);
}

await deploy('first', First, (account) => account.deposit(1.5, 'ada'));
await deploy('second', Second, (account) => account.deposit(2));
await deploy('first again', First, (account) => account.deposit(1));
await deploy('second again', Second, (account) => account.deposit(0.25));
await deploy('third', Third, (account) => account.deposit(25));
await deploy('first, too late', First, (account) =>
  account.deposit(1).catch(({ code, stored, known }) => `${code}: ${stored} is stored, ${known} is known`),
);
