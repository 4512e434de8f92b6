import { InvalidConfigError } from './errors.ts';
import { checkKnown } from './grain/checks.ts';
import type { GrainClass } from './grain/grain.ts';
import { type GrainType, grainTypeOf } from './grain/grain-type.ts';
import {
  checkInterceptors,
  type IncomingInterceptor,
  type Interceptors,
  type OutgoingInterceptor,
} from './grain/interceptors.ts';
import { type Labels, labelsProblem } from './identity/labels.ts';
import { isNodeName } from './identity/silo-address.ts';
import { LIMITS } from './limits.ts';
import { DETECTION, type DetectionTimes } from './membership/failure-detector.ts';
import type { RuntimeListener } from './observability/events.ts';
import type { LogOption } from './observability/log.ts';
import { isPowerOfTwo } from './ring/ring.ts';
import type { SiloRuntimeOptions } from './runtime/silo-runtime.ts';
import { type GrainStore, isGrainStore } from './storage/grain-store.ts';
import { isReminderStore, type ReminderStore } from './storage/reminder-store.ts';
import type { Clock } from './system/clock.ts';
import type { Random } from './system/random.ts';
import { type EventLog, isEventLog } from './topics/event-log.ts';
import { inProcessLog, logOn } from './topics/in-process-log.ts';
import { isInProcess } from './transport/in-process.ts';
import type { Transport } from './transport/transport.ts';

/** What silos and clients have in common. */
export interface NodeOptions {
  /**
   * The cluster's name; nodes of different clusters never meet, also on one NATS server. Default `'granary'`.
   */
  readonly cluster?: string;
  /** The network. Default: one of its own, inside this process. */
  readonly transport?: Transport;
  /** Deadline of calls for which nobody chose one, in milliseconds. Default 10,000. */
  readonly callTimeoutMs?: number;
  /** Stand around the calls that are made here; the first is the outermost. */
  readonly interceptors?: { readonly outgoing?: readonly OutgoingInterceptor[] };
  /**
   * The log of events, the same for all nodes of a cluster: `jetStream({ servers })`, say. Default: one in
   * this process, where the network is in this process as well; on any other network there is none.
   */
  readonly topics?: EventLog;
  /** A pino logger, or a level. Default `'warn'`, to standard error. */
  readonly log?: LogOption;
  /** Told everything from the first moment on; `subscribe` begins only when the node is there. */
  readonly onEvent?: RuntimeListener;
  /** Time and chance, for simulations. */
  readonly clock?: Clock;
  readonly random?: Random;
}

export interface SiloOptions extends NodeOptions {
  /** The grain classes that this silo can activate. */
  readonly grains: readonly GrainClass[];
  /**
   * Stand around the calls that grains here and the program make, and around those that run in grains here;
   * the first is the outermost.
   */
  readonly interceptors?: {
    readonly outgoing?: readonly OutgoingInterceptor[];
    readonly incoming?: readonly IncomingInterceptor[];
  };
  /**
   * The silo's name, unique in its cluster: the ring depends on it, so one that is kept over restarts keeps
   * the silo's share.
   */
  readonly name?: string;
  /** What `requires` and `prefers` of grain classes, and placements, look at: `{ zone: 'a', gpu: true }`. */
  readonly labels?: Labels;
  /** Stores by name. `default` is for classes and fields that name none; in memory when it is not given. */
  readonly stores?: Readonly<Record<string, GrainStore>>;
  /**
   * Where reminders are kept; the same for all silos of a cluster. Default: the default store, which is one
   * if it is `memory()`, `postgres()` or `pglite()`.
   */
  readonly reminders?: ReminderStore;
  /** Partitions of the ring, a power of two; one value per cluster. Default 1,024. */
  readonly partitions?: number;
  /** Silos that keep the directory entries and process groups of a partition. Default 3. */
  readonly replicas?: number;
  /** Milliseconds without a call after which an activation is collected. Default ten minutes. */
  readonly idleMs?: number;
  /** How long `stop()` waits for turns to end. Default 10,000. */
  readonly drainMs?: number;
  /**
   * Activations that set out in a second, at most, to return to where the ring puts them, after silos have
   * joined or left. Default 100; 0: they stay where they are until they end.
   */
  readonly homecomingsPerSecond?: number;
  /** When a silent silo counts as gone. */
  readonly detection?: Partial<DetectionTimes>;
}

/**
 * A silo's options, checked, with defaults. Throws `InvalidConfigError` that names the option and the remedy.
 */
export interface CheckedSiloOptions
  extends Omit<SiloRuntimeOptions, 'incarnation' | 'stores' | 'session' | 'log'> {
  readonly cluster: string;
  readonly name: string | undefined;
  readonly stores: Readonly<Record<string, GrainStore>>;
}

const NODE_OPTIONS = [
  'cluster',
  'transport',
  'callTimeoutMs',
  'log',
  'onEvent',
  'clock',
  'random',
  'interceptors',
  'topics',
];
const CLIENT_OPTIONS = new Set(NODE_OPTIONS);
const SILO_OPTIONS = new Set([
  ...NODE_OPTIONS,
  ...[
    'grains',
    'name',
    'labels',
    'stores',
    'reminders',
    'partitions',
    'replicas',
    'idleMs',
    'drainMs',
    'homecomingsPerSecond',
    'detection',
  ],
]);
const DETECTION_OPTIONS = new Set(Object.keys(DETECTION));
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'];

export function checkSiloOptions(options: SiloOptions): CheckedSiloOptions {
  checkOptions('Silo.start', options, SILO_OPTIONS);
  const { name, partitions = 1_024, stores = {} } = options;
  if (name !== undefined && !isNodeName(name))
    throw invalid('Silo.start', 'name', name, '1 to 64 letters, digits, - and _');
  if (!isPowerOfTwo(partitions))
    throw invalid('Silo.start', 'partitions', partitions, 'a power of two from 1 to 65536');
  if (!Array.isArray(options.grains) || options.grains.length === 0) {
    throw new InvalidConfigError(
      'Silo.start: grains is empty; list the grain classes that this silo can activate',
    );
  }
  if (options.transport !== undefined && typeof options.transport.open !== 'function') {
    throw new InvalidConfigError(
      'Silo.start: transport is none; pass inProcess() or nats({ servers }), or leave it out',
    );
  }
  checkWhatNodesHave('Silo.start', options);
  checkOptions('Silo.start: detection', options.detection ?? {}, DETECTION_OPTIONS);
  const detection = { ...DETECTION, ...options.detection };
  if (
    !(
      detection.heartbeatMs > 0 &&
      detection.heartbeatMs < detection.probeMs &&
      detection.probeMs <= detection.suspectMs
    )
  ) {
    throw new InvalidConfigError('Silo.start: detection needs 0 < heartbeatMs < probeMs <= suspectMs');
  }
  const types = checkGrains(options.grains);
  checkStores(types, stores);
  checkHasLog(types, options);
  if (options.reminders !== undefined && !isReminderStore(options.reminders)) {
    throw new InvalidConfigError(
      'Silo.start: reminders is no ReminderStore; pass memory(), postgres({ url }), or leave it out',
    );
  }
  return {
    cluster: checkCluster('Silo.start', options.cluster),
    name,
    labels: checkLabels(options.labels ?? {}),
    types,
    stores,
    reminders: options.reminders,
    partitions,
    replicas: checkReplicas(options.replicas ?? 3),
    idleMs: checkRange('Silo.start', 'idleMs', options.idleMs ?? 600_000, 1, LIMITS.callTimeoutMaxMs),
    drainMs: checkRange('Silo.start', 'drainMs', options.drainMs ?? 10_000, 0, LIMITS.callTimeoutMaxMs),
    homecomingsPerSecond: checkRange(
      'Silo.start',
      'homecomingsPerSecond',
      options.homecomingsPerSecond ?? 100,
      0,
      100_000,
    ),
    callTimeoutMs: checkTimeout('Silo.start', options.callTimeoutMs),
    interceptors: checkedInterceptors('Silo.start', options.interceptors, ['outgoing', 'incoming']),
    detection,
  };
}

export interface CheckedClientOptions {
  readonly cluster: string;
  readonly callTimeoutMs: number;
  readonly interceptors: Interceptors;
}

export function checkClientOptions(options: NodeOptions): CheckedClientOptions {
  checkOptions('Client.connect', options, CLIENT_OPTIONS);
  checkWhatNodesHave('Client.connect', options);
  return {
    cluster: checkCluster('Client.connect', options.cluster),
    callTimeoutMs: checkTimeout('Client.connect', options.callTimeoutMs),
    interceptors: checkedInterceptors('Client.connect', options.interceptors, ['outgoing']),
  };
}

function checkedInterceptors(
  where: string,
  interceptors: Partial<Interceptors> = {},
  kinds: readonly (keyof Interceptors)[],
): Interceptors {
  checkOptions(`${where}: interceptors`, interceptors, new Set<string>(kinds));
  for (const kind of kinds) checkInterceptors(`${where}: interceptors.${kind}`, interceptors[kind]);
  return { outgoing: interceptors.outgoing ?? [], incoming: interceptors.incoming ?? [] };
}

function checkGrains(classes: readonly GrainClass[]): Map<string, GrainType> {
  const types = new Map<string, GrainType>();
  for (const Class of classes) {
    const type = grainTypeOf(Class);
    const other = types.get(type.name);
    if (other && other.Class !== Class) {
      throw new InvalidConfigError(
        `two grain classes are named '${type.name}' (${other.Class.name} and ${Class.name}); ` +
          "give one another name: @grain({ name: '...' })",
      );
    }
    types.set(type.name, type);
  }
  return types;
}

function checkStores(
  types: ReadonlyMap<string, GrainType>,
  stores: Readonly<Record<string, GrainStore>>,
): void {
  for (const [name, store] of Object.entries(stores)) {
    if (isGrainStore(store)) continue;
    throw new InvalidConfigError(
      `Silo.start: store '${name}' is no GrainStore; pass memory(), postgres({ url }) or one of your own: ` +
        `stores: { ${JSON.stringify(name)}: memory() }`,
    );
  }
  for (const type of types.values()) {
    for (const record of type.records) {
      if (record.store === 'default' || Object.hasOwn(stores, record.store)) continue;
      throw new InvalidConfigError(
        `class ${type.Class.name}: the fields ${record.fields.join(', ')} ` +
          `are kept in store '${record.store}', ` +
          'which this silo does not have; ' +
          `pass it: Silo.start({ stores: { ${JSON.stringify(record.store)}: ... } })`,
      );
    }
  }
}

function checkLabels(labels: Labels): Labels {
  const problem = labelsProblem(labels);
  if (problem) throw invalid('Silo.start', 'labels', labels, problem);
  return { ...labels };
}

function checkWhatNodesHave(where: string, { topics, log, onEvent }: NodeOptions): void {
  checkTopics(where, topics);
  checkLog(where, log);
  checkListener(where, onEvent);
}

function checkTopics(where: string, topics: unknown): void {
  if (topics === undefined || isEventLog(topics)) return;
  throw new InvalidConfigError(`${where}: topics is no log of events; pass jetStream({ servers }), say`);
}

/** The log of events of a silo or a client; undefined when it has none. */
export function eventLogOf({ topics, transport }: NodeOptions): EventLog | undefined {
  if (topics) return topics;
  if (transport === undefined) return inProcessLog();
  return isInProcess(transport) ? logOn(transport) : undefined;
}

function checkHasLog(types: ReadonlyMap<string, GrainType>, options: SiloOptions): void {
  if (eventLogOf(options)) return;
  for (const { Class, subscriptions } of types.values()) {
    const durable = subscriptions.find(({ broadcast }) => !broadcast);
    if (!durable) continue;
    throw new InvalidConfigError(
      `class ${Class.name} subscribes to '${durable.topic}', and this silo has no log of events; ` +
        "pass one: Silo.start({ topics: jetStream({ servers }) }), with jetStream from 'granary/nats'",
    );
  }
}

function checkReplicas(replicas: number): number {
  if (Number.isInteger(replicas) && replicas >= 1 && replicas <= 16) return replicas;
  throw invalid('Silo.start', 'replicas', replicas, 'a whole number from 1 to 16');
}

function checkLog(where: string, log: unknown): void {
  if (log === undefined || LOG_LEVELS.includes(log as string)) return;
  if (typeof log === 'object' && typeof (log as { child?: unknown } | null)?.child === 'function') return;
  throw invalid(where, 'log', log, `a pino logger or one of '${LOG_LEVELS.join("', '")}'`);
}

function checkListener(where: string, onEvent: unknown): void {
  if (onEvent !== undefined && typeof onEvent !== 'function')
    throw invalid(where, 'onEvent', onEvent, 'a function');
}

function checkCluster(where: string, cluster = 'granary'): string {
  if (isNodeName(cluster)) return cluster;
  throw invalid(where, 'cluster', cluster, '1 to 64 letters, digits, - and _');
}

function checkTimeout(where: string, value: number = LIMITS.callTimeoutMs): number {
  return checkRange(where, 'callTimeoutMs', value, 1, LIMITS.callTimeoutMaxMs);
}

function checkRange(where: string, option: string, value: number, min: number, max: number): number {
  if (Number.isFinite(value) && value >= min && value <= max) return value;
  throw invalid(where, option, value, `a number from ${min} to ${max}`);
}

function checkOptions(where: string, options: object, known: ReadonlySet<string>): void {
  if (typeof options !== 'object' || options === null)
    throw new InvalidConfigError(`${where} takes an object of options`);
  checkKnown(where, options, [...known].sort());
}

function invalid(where: string, option: string, value: unknown, wanted: string): InvalidConfigError {
  return new InvalidConfigError(`${where}: ${option} is ${JSON.stringify(value)}; it must be ${wanted}`);
}
