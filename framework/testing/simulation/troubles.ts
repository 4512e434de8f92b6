import { QUIET } from './network.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';
import { STORE_WORKS } from './store.ts';
import type { FaultKind } from './swarm.ts';

/** What a fault has to work with. */
export interface Scene {
  readonly cluster: SimulatedCluster;
  readonly random: SeededRandom;
  /** Silos that run; those that start or stop; and names of those that could start. */
  readonly silos: readonly string[];
  readonly moving: readonly string[];
  readonly absent: readonly string[];
  /** Starts or stops a silo, which takes its time. */
  readonly move: (name: string, act: () => Promise<unknown>) => void;
}

/** Begins a trouble, and returns how to end it; nothing when it needs no end, or finds nobody to strike. */
export type Trouble = (scene: Scene) => (() => void) | undefined;

/** What each kind of fault does. */
export const troubles: Readonly<Record<FaultKind, Trouble>> = {
  crash: (scene) => crash(scene, 'crash'),
  vanish: (scene) => crash(scene, 'vanish'),
  leave: ({ cluster, random, silos, move }) => {
    if (silos.length < 2) return undefined;
    const silo = random.pick(silos);
    move(silo, () => cluster.stop(silo));
    return () => move(silo, () => cluster.start(silo));
  },
  join: ({ cluster, random, absent, move }) => {
    if (absent.length === 0) return undefined;
    const silo = random.pick(absent);
    move(silo, () => cluster.start(silo));
    return undefined;
  },
  pause: (scene) => {
    const { cluster } = scene;
    return toOne(
      scene,
      (silo) => cluster.pause(silo),
      (silo) => cluster.resume(silo),
    );
  },
  slow: (scene) => {
    const { cluster, random } = scene;
    const costMs = random.logarithmic(0.05, 20);
    return toOne(
      scene,
      (silo) => cluster.slow(silo, costMs),
      (silo) => cluster.slow(silo, 0),
    );
  },
  clockJump: (scene) => {
    const { cluster, random } = scene;
    const byMs = random.between(-1, 2) * random.logarithmic(10, 100_000);
    toOne(
      scene,
      (silo) => cluster.jumpClock(silo, byMs),
      () => {},
    );
    return undefined;
  },
  partition: (scene) => split(scene, (some, others) => scene.cluster.partition(some, others)),
  loudPartition: (scene) => split(scene, (some, others) => scene.cluster.partitionLoudly(some, others)),
  oneWay: (scene) => split(scene, (some, others) => scene.cluster.partitionOneWay(some, others)),
  disconnect: (scene) => {
    const { cluster } = scene;
    return toOne(
      scene,
      (silo) => cluster.disconnect(silo),
      (silo) => cluster.reconnect(silo),
    );
  },
  outage: ({ cluster, random }) => {
    cluster.disconnect();
    return () => {
      for (const name of [...cluster.names, 'client']) {
        const reconnect = () => cluster.runs(name) && cluster.reconnect(name);
        void cluster.sleep(random.exponential(100)).then(reconnect);
      }
    };
  },
  storeCut: (scene) => {
    const { cluster } = scene;
    const cut = (silo: string) => cluster.partitionOneWay([silo], ['store']);
    return toOne(scene, cut, () => cluster.heal());
  },
  latency: ({ cluster, random }) => {
    cluster.setNetwork({ jitterMs: random.logarithmic(1, 400) });
    return () => cluster.setNetwork({ jitterMs: QUIET.jitterMs });
  },
  loss: (scene) => lossy(scene, 'loss'),
  duplication: (scene) => lossy(scene, 'duplication'),
  reordering: (scene) => lossy(scene, 'reordering'),
  storeLatency: ({ cluster, random }) => {
    cluster.setStores({ jitterMs: random.logarithmic(2, 1_000) });
    return () => cluster.setStores({ jitterMs: STORE_WORKS.jitterMs });
  },
  storeErrors: (scene) => unreliable(scene, 'errors'),
  storeErrorsAfterWrite: (scene) => unreliable(scene, 'errorsAfterWrite'),
  lostStoreAnswers: (scene) => unreliable(scene, 'lostAnswers'),
};

/** One of several silos, also while it starts or leaves. It mostly comes back. */
function crash({ cluster, random, silos, moving, move }: Scene, how: 'crash' | 'vanish') {
  const victims = silos.length > 1 ? [...silos, ...moving] : silos.length === 1 ? moving : [];
  const present = victims.filter((name) => cluster.runs(name));
  if (present.length === 0) return undefined;
  const silo = random.pick(present);
  cluster[how](silo);
  if (random.chance(0.3)) return undefined;
  return () => {
    if (!cluster.runs(silo)) move(silo, () => cluster.start(silo));
  };
}

function toOne(
  { cluster, random, silos }: Scene,
  begin: (silo: string) => void,
  end: (silo: string) => void,
) {
  if (silos.length === 0) return undefined;
  const silo = random.pick(silos);
  begin(silo);
  return () => {
    if (cluster.runs(silo)) end(silo);
  };
}

function split(
  { cluster, random }: Scene,
  cut: (some: readonly string[], others: readonly string[]) => void,
) {
  const all = random.shuffled([...cluster.names, 'client']);
  if (all.length < 2) return undefined;
  const size = 1 + random.below(all.length - 1);
  cut(all.slice(0, size), all.slice(size));
  return () => cluster.heal();
}

function lossy({ cluster, random }: Scene, what: 'loss' | 'duplication' | 'reordering') {
  cluster.setNetwork({ [what]: random.logarithmic(0.001, 0.3) });
  return () => cluster.setNetwork({ [what]: 0 });
}

function unreliable({ cluster, random }: Scene, what: 'errors' | 'errorsAfterWrite' | 'lostAnswers') {
  cluster.setStores({ [what]: random.logarithmic(0.001, 0.5) });
  return () => cluster.setStores({ [what]: 0 });
}
