import { Grain, type GrainClass, grain, method, state } from 'granary';
import { type SimulatedCluster, sweep } from 'granary/testing';

/**
 * A show and its guests. The mistake: it is saved when it is deactivated, which works whenever somebody tries
 * it, since a silo that stops deactivates its grains. One that crashes does not.
 */
@grain()
class ForgetfulShow extends Grain {
  @state() guests: string[] = [];

  @method({ idempotent: true })
  async admit(guest: string): Promise<void> {
    if (!this.guests.includes(guest)) this.guests.push(guest);
  }

  @method({ readOnly: true })
  async list(): Promise<string[]> {
    return this.guests;
  }

  override async onDeactivate(): Promise<void> {
    await this.save();
  }
}

/** The same, but a guest is told only what is saved. */
@grain()
class Show extends ForgetfulShow {
  @method({ idempotent: true })
  override async admit(guest: string): Promise<void> {
    await super.admit(guest);
    await this.save();
  }

  override async onDeactivate(): Promise<void> {}
}

/** Guests ask for tickets while silos crash, leave and join; then everybody who has one must be known. */
function evening(show: GrainClass<ForgetfulShow>) {
  return async (cluster: SimulatedCluster): Promise<void> => {
    const admitted: string[] = [];
    for (let n = 1; n <= 100; n++) {
      await cluster.sleep(cluster.random.between(0, 200));
      try {
        await cluster.grain(show, 'hamlet').admit(`guest ${n}`);
        admitted.push(`guest ${n}`);
      } catch {
        // An error may mean that nobody knows whether there is a ticket: nothing to insist on.
      }
    }
    await cluster.stopFaults();
    await cluster.settled();
    const known = await cluster.grain(show, 'hamlet').list();
    const turnedAway = admitted.find((guest) => !known.includes(guest));
    if (turnedAway) throw new Error(`${turnedAway} has a ticket, and is not on the list`);
  };
}

const sweepOf = (show: GrainClass<ForgetfulShow>, seeds: number) =>
  sweep({ seeds, grains: [show], faults: ['crash', 'leave', 'join'], attempts: 20 }, evening(show));

// One seed after the other until one fails; that one again with fewer faults, as long as it fails.
const { runs, failures } = await sweepOf(ForgetfulShow, 100);
for (const { seed, cause, faults } of failures) {
  console.log(`seed ${seed}: ${cause instanceof Error ? cause.message : cause}`);
  for (const { kind, atMs } of faults) console.log(`  all it takes: ${kind} at ${atMs} ms`);
}

const mended = await sweepOf(Show, runs);
console.log(`saved before anybody is told: ${mended.failures.length} of ${runs} seeds fail`);
