import { Grain, type GrainClass, grain, method, state } from 'granary';
import { type SimulatedCluster, SimulationError, simulate } from 'granary/testing';

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
        cluster.note(`guest ${n} has a ticket`);
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

/** Runs an evening under one seed. Returns what went wrong, in a few lines, or nothing. */
async function problemOf(show: GrainClass<ForgetfulShow>, seed: number): Promise<string[]> {
  const notes: string[] = [];
  const trace = (line: string) => {
    if (line.includes(' --- ')) notes.push(line);
  };
  try {
    await simulate({ seed, grains: [show], faults: ['crash', 'leave', 'join'], trace }, evening(show));
    return [];
  } catch (error) {
    if (!(error instanceof SimulationError && error.cause instanceof Error)) throw error;
    const { message } = error.cause;
    const ticket = notes.findIndex((note) => note.endsWith(message.split(',')[0] as string));
    const crash = notes.findIndex((note, i) => i > ticket && note.endsWith('crashes'));
    return [`seed ${seed}: ${message}`, ...[ticket, crash].flatMap((i) => notes[i] ?? [])];
  }
}

let seed = 0;
let problem: string[] = [];
while (problem.length === 0) problem = await problemOf(ForgetfulShow, ++seed);
console.log(problem.join('\n'));

for (let same = 1; same <= seed; same++) {
  const still = await problemOf(Show, same);
  if (still.length > 0) throw new Error(still.join('\n'));
}
console.log(`saved before it is told: seeds 1 to ${seed} pass`);
