import { memory } from '../../../persistence/memory.ts';
import { grainTypeOf } from '../../grain/grain-type.ts';
import type { GrainStore } from '../../storage/grain-store.ts';
import type { ClusterOptions } from '../test-cluster.ts';
import { checkOptions, siloNames } from './check-options.ts';
import { ownGlobals } from './globals.ts';
import { SimulatedCluster } from './simulated-cluster.ts';
import { Simulation } from './simulation.ts';
import { drawFaults, FAULTS, type Fault, type FaultKind, Swarm } from './swarm.ts';

export interface SimulateOptions extends ClusterOptions {
  /** Decides everything that chance decides. A whole number from 0 to 2^52. */
  readonly seed: number;
  /** How many silos to start with, or their names. Default 3. */
  readonly silos?: number | readonly string[];
  /** Shared by all silos. `default` is one in memory unless you name it. */
  readonly stores?: Readonly<Record<string, GrainStore>>;
  /**
   * Trouble while the story runs: the seed's choice among all kinds (`'swarm'`), or among some, or a plan.
   * Default: none but what the story makes itself.
   */
  readonly faults?: 'swarm' | readonly FaultKind[] | readonly Fault[];
  /** Virtual milliseconds after which a story that has not ended is given up. Default one hour. */
  readonly maxMs?: number;
  /** Told every step, as a line. */
  readonly trace?: (line: string) => void;
}

export interface SimulationReport {
  readonly seed: number;
  /** Things that happened: timers, arrivals, answers of stores. */
  readonly events: number;
  readonly virtualMs: number;
  /** Two runs of the same hash were the same, event by event. */
  readonly traceHash: string;
}

/** A story that failed, or an invariant that did not hold. `cause` is what went wrong. */
export class SimulationError extends Error {
  readonly seed: number;
  readonly events: number;
  readonly virtualMs: number;
  /** The last things that happened, the oldest first. */
  readonly history: readonly string[];
  /** The trouble so far: as `faults`, the same again. */
  readonly faults: readonly Fault[];

  constructor(
    report: Omit<SimulationReport, 'traceHash'>,
    history: readonly string[],
    faults: readonly Fault[],
    cause: unknown,
  ) {
    const { seed, events, virtualMs } = report;
    const why = cause instanceof Error ? cause.message : String(cause);
    const shown = history.slice(-SHOWN).join('\n');
    const when = `after ${events} events, at ${virtualMs.toFixed(3)} ms`;
    super(`seed ${seed}, ${when}: ${why}\nThe last events:\n${shown}`, { cause });
    this.name = 'SimulationError';
    this.seed = seed;
    this.events = events;
    this.virtualMs = virtualMs;
    this.history = history;
    this.faults = faults;
  }
}

/** Lines of history in the message of an error, and in its field. */
const SHOWN = 25;
const KEPT = 400;
/** Virtual milliseconds that a story has, unless it says otherwise. */
const MAX_MS = 3_600_000;
/** Silos that may join, beyond those of the beginning. */
const NEWCOMERS = ['new-0', 'new-1', 'new-2'];
/** How long the cluster may take to settle after all trouble has ended, in virtual milliseconds. */
const SETTLE_MS = 60_000;

/**
 * Runs a story on a cluster in virtual time. The seed decides every delay and, with `faults`, all trouble;
 * the same seed makes the same run. While the story runs, the invariants of docs/testing.md are checked
 * after every event. When it has ended, everything heals; then the cluster must settle, agree, and leave
 * nothing behind when it stops.
 *
 * Rejects with `SimulationError` when the story fails or an invariant does not hold, and with
 * `InvalidConfigError` when an option is wrong.
 */
export async function simulate(
  options: SimulateOptions,
  story: (cluster: SimulatedCluster) => Promise<void>,
): Promise<SimulationReport> {
  checkOptions(options, story);
  const silos = siloNames(options.silos ?? 3);
  const simulation = new Simulation({
    seed: options.seed,
    // A silo without a default store makes one of its own, which would die with it.
    stores: { default: memory(), ...options.stores },
    workerTypes: options.grains.map(grainTypeOf).flatMap(({ name, workers }) => (workers ? [name] : [])),
    trace: options.trace,
  });
  const cluster = new SimulatedCluster(options, simulation);
  const { engine } = simulation;
  const swarm = new Swarm(cluster, [...silos, ...NEWCOMERS], simulation.clock);
  cluster.stopFaults = () => swarm.stop();
  const disown = ownGlobals();
  try {
    let over = false;
    const live = async () => {
      await cluster.begin(silos);
      if (options.faults) swarm.begin(planOf(simulation, options.faults));
      await story(cluster);
      await cluster.stopFaults();
      await end(cluster, simulation);
    };
    const { maxMs = MAX_MS } = options;
    const limit = simulation.story.timer(maxMs, () => {
      const perhaps = 'what it waits for may not be part of the simulation';
      engine.fail(new Error(`the story has not ended after ${maxMs} ms (maxMs); ${perhaps}`));
    });
    simulation.story.run(live).then(
      () => {
        over = true;
        limit.cancel();
      },
      (error) => engine.fail(error),
    );
    await engine.drive(() => over);
    return { ...soFar(simulation, options.seed), traceHash: engine.hash.digest };
  } catch (error) {
    throw new SimulationError(
      soFar(simulation, options.seed),
      simulation.history.last(KEPT),
      swarm.begun,
      error,
    );
  } finally {
    disown();
  }
}

/** Everything heals; the cluster must settle, agree, and leave nothing behind. */
async function end(cluster: SimulatedCluster, simulation: Simulation): Promise<void> {
  cluster.calm();
  await cluster.examine(SETTLE_MS);
  await cluster.end();
  simulation.finish();
}

function planOf({ engine }: Simulation, faults: NonNullable<SimulateOptions['faults']>): Iterable<Fault> {
  if (faults !== 'swarm' && faults.every((fault) => typeof fault === 'object'))
    return faults as readonly Fault[];
  return drawFaults(
    engine.random.fork('swarm'),
    faults === 'swarm' ? FAULTS : (faults as readonly FaultKind[]),
  );
}

function soFar({ engine }: Simulation, seed: number): Omit<SimulationReport, 'traceHash'> {
  return { seed, events: engine.events, virtualMs: engine.now };
}
