import { InvalidConfigError } from '../errors.ts';
import { type Labels, labelsProblem } from '../identity/labels.ts';
import { OBSERVER_TYPE } from '../identity/observer-id.ts';
import { LIMITS } from '../limits.ts';
import { PLACEMENTS, type Placement } from '../placement/placement.ts';
import type { ArgumentsSchema } from './arguments-schema.ts';
import { checkFields } from './check-fields.ts';
import { checkMethods } from './check-methods.ts';
import { checkReminders, tickSpecs } from './check-reminders.ts';
import type { RecordShape } from './check-shape.ts';
import { checkSubscriptions, type SubscriptionSpec } from './check-subscriptions.ts';
import { checkKnown, checkNumber, checkWhole } from './checks.ts';
import { Grain, type GrainClass } from './grain.ts';
import { checkInterceptors, type IncomingInterceptor } from './interceptors.ts';
import { type ClassRecord, recordsAlong } from './metadata.ts';
import type { GrainOptions, PlacementOption } from './options.ts';
import { type ReferenceClass, referenceClass } from './reference.ts';
import type { RetryOptions } from './retry.ts';

/** What a method's decorator says, with defaults filled in. */
export interface MethodSpec {
  /** What calls name it by; names that begin with `$` are the runtime's own, and references refuse them. */
  readonly name: string;
  /** The class's method that runs. */
  readonly member: string;
  readonly readOnly: boolean;
  readonly interleave: boolean;
  readonly oneWay: boolean;
  /** May be tried again when a silo is lost. */
  readonly repeatable: boolean;
  readonly timeoutMs: number | undefined;
  readonly stream: boolean;
  /** What the arguments must be. */
  readonly schema?: ArgumentsSchema | undefined;
  /** How it is called again when it fails, unless the caller chose. */
  readonly retry?: RetryOptions | undefined;
  /** Of a stateless worker: runs on the silo of its caller. */
  readonly worker: boolean;
}

/** Fields that are saved together under one etag. */
export interface RecordSpec {
  readonly name: string;
  readonly store: string;
  readonly fields: readonly string[];
  /** Undefined when the class says nothing of versions and schemas. */
  readonly shape: RecordShape | undefined;
}

/** A grain class, checked, with everything that the runtime asks of it. */
export interface GrainType {
  readonly name: string;
  readonly Class: GrainClass;
  readonly Reference: ReferenceClass;
  readonly methods: ReadonlyMap<string, MethodSpec>;
  readonly records: readonly RecordSpec[];
  /** The class's method for each reminder, by the reminder's name. */
  readonly reminders: ReadonlyMap<string, MethodSpec>;
  readonly subscriptions: readonly SubscriptionSpec[];
  /** Its activations hear broadcasts. */
  readonly hears: boolean;
  readonly placement: Placement;
  /** Labels of the silos that may have it, and of those that should. */
  readonly requires: Labels | undefined;
  readonly prefers: Labels | undefined;
  /** Activations per silo of a stateless worker; undefined for all others. */
  readonly workers: number | undefined;
  readonly reentrant: boolean | 'callChain';
  readonly idleMs: number | undefined;
  readonly keepAlive: boolean;
  readonly mailboxMax: number;
  /** Answers of calls with idempotency keys that a grain keeps. */
  readonly idempotencyKeys: number;
  /** Several calls may run at once, so which one a piece of code belongs to must be tracked. */
  readonly interleaves: boolean;
  /** Around its calls, the outermost first. */
  readonly interceptors: readonly IncomingInterceptor[];
}

const TYPE_NAME = /^[A-Za-z_$][A-Za-z0-9_$-]{0,127}$/;
const GRAIN_OPTIONS: readonly (keyof GrainOptions)[] = [
  'name',
  'placement',
  'requires',
  'prefers',
  'reentrant',
  'idleMs',
  'store',
  'keepAlive',
  'mailboxMax',
  'idempotencyKeys',
  'interceptors',
];
const types = new WeakMap<GrainClass, GrainType>();

/** The checked form of a grain class. Throws `InvalidConfigError` that names class, member and remedy. */
export function grainTypeOf(Class: GrainClass): GrainType {
  let type = types.get(Class);
  if (!type) {
    type = check(Class);
    types.set(Class, type);
  }
  return type;
}

function check(Class: GrainClass): GrainType {
  if (typeof Class !== 'function' || !(Class.prototype instanceof Grain)) {
    const what = typeof Class === 'function' ? `class ${Class.name || '(anonymous)'}` : String(Class);
    throw new InvalidConfigError(`${what} is not a grain class: it must extend Grain`);
  }
  const records = recordsAlong(Class);
  const options = records.at(-1)?.grain;
  if (!options || !Object.hasOwn(Class, 'prototype') || !ownGrain(Class)) {
    throw new InvalidConfigError(
      `class ${Class.name} extends Grain but is not decorated: put @grain() above it`,
    );
  }
  const name = checkName(Class, options.name ?? Class.name);
  const workers = workersOf(Class, options);
  const { callable, ...calls } = checkCalls(Class, records, workers !== undefined);
  const fields = records.flatMap((record) => record.fields);
  if (workers !== undefined && fields.length > 0) {
    throw new InvalidConfigError(
      `class ${Class.name}: a worker is stateless; remove @state from ${String(fields[0]?.member)}`,
    );
  }
  checkOptions(Class, options);
  checkHooks(Class);
  const reentrant = options.reentrant ?? false;
  return {
    name,
    Class,
    Reference: referenceClass(callable),
    ...calls,
    records: checkFields(Class, fields, options.store ?? 'default'),
    placement: placementOf(Class, options.placement ?? 'ring'),
    requires: options.requires,
    prefers: options.prefers,
    workers,
    reentrant,
    idleMs: options.idleMs,
    keepAlive: options.keepAlive ?? false,
    mailboxMax: options.mailboxMax ?? LIMITS.mailbox,
    idempotencyKeys: options.idempotencyKeys ?? LIMITS.keptAnswers,
    interleaves:
      reentrant !== false || [...calls.methods.values()].some((m) => m.interleave || m.readOnly || m.stream),
    interceptors: interceptorsOf(Class, records),
  };
}

function checkName(Class: GrainClass, name: string): string {
  if (!TYPE_NAME.test(name)) {
    throw new InvalidConfigError(
      `class ${Class.name}: '${name}' cannot be a grain type's name; ` +
        `use up to 128 letters, digits, _, $ and -: @grain({ name: '...' })`,
    );
  }
  if (name === OBSERVER_TYPE) {
    throw new InvalidConfigError(`class ${Class.name}: '${name}' is what observers are called; use another`);
  }
  return name;
}

/** What can be called: by others, and by the runtime alone. */
function checkCalls(Class: GrainClass, records: readonly ClassRecord[], worker: boolean) {
  const all = <Kind extends 'methods' | 'reminders' | 'subscriptions'>(kind: Kind) =>
    records.flatMap((record) => record[kind] as ClassRecord[Kind][number][]);
  const hasHandlers = all('reminders').length + all('subscriptions').length > 0;
  const callable = checkMethods(Class, all('methods'), worker);
  if (callable.size === 0 && !hasHandlers) {
    throw new InvalidConfigError(
      `class ${Class.name} has no callable method: put @method() above those that others may call`,
    );
  }
  const reminders = checkReminders(Class, all('reminders'), worker);
  const subscriptions = checkSubscriptions(Class, all('subscriptions'), worker);
  const deliveries = subscriptions.map(({ spec }) => [spec.name, spec] as const);
  const methods: ReadonlyMap<string, MethodSpec> = hasHandlers
    ? new Map([...callable, ...tickSpecs(reminders), ...deliveries])
    : callable;
  const hears = subscriptions.some(({ broadcast }) => broadcast);
  return { callable, methods, reminders, subscriptions, hears };
}

/** An option object inherited from a decorated parent class would give both the same name. */
function ownGrain(Class: GrainClass): boolean {
  const parents = recordsAlong(Object.getPrototypeOf(Class) as object);
  return recordsAlong(Class).length > parents.length && recordsAlong(Class).at(-1)?.grain !== undefined;
}

/** What one hook gives and none takes would be lost with the first move, and nobody would notice. */
function checkHooks(Class: GrainClass): void {
  const { onDehydrate, onRehydrate } = Class.prototype;
  if (onDehydrate === Grain.prototype.onDehydrate || onRehydrate !== Grain.prototype.onRehydrate) return;
  throw new InvalidConfigError(
    `class ${Class.name}: onDehydrate gives what no onRehydrate takes: it would be lost; ` +
      'add onRehydrate(value)',
  );
}

function checkOptions(Class: GrainClass, options: GrainOptions): void {
  const where = `class ${Class.name}: @grain`;
  checkKnown(where, options, GRAIN_OPTIONS);
  checkNumber(where, 'idleMs', options.idleMs, 1, LIMITS.callTimeoutMaxMs);
  checkNumber(where, 'mailboxMax', options.mailboxMax, 1, 10_000_000);
  checkWhole(where, 'idempotencyKeys', options.idempotencyKeys, 1, LIMITS.keptAnswersMax);
  const isWorker = workersOf(Class, options) !== undefined;
  checkLabels(where, 'requires', options.requires, isWorker);
  checkLabels(where, 'prefers', options.prefers, isWorker);
  if (![undefined, true, false, 'callChain'].includes(options.reentrant)) {
    throw new InvalidConfigError(`${where}: reentrant is true, false or 'callChain'`);
  }
}

function checkLabels(where: string, option: string, labels: Labels | undefined, worker: boolean): void {
  if (labels === undefined) return;
  const problem = labelsProblem(labels);
  if (problem) throw new InvalidConfigError(`${where}: ${option} must be ${problem}`);
  if (!worker) return;
  throw new InvalidConfigError(`${where}: a worker runs on the silo of its caller; remove ${option}`);
}

/** Those of parent classes too: what guards the methods of a class guards them where they are inherited. */
function interceptorsOf(Class: GrainClass, records: readonly ClassRecord[]): readonly IncomingInterceptor[] {
  return records.flatMap(({ grain: { interceptors = [] } = {} }) => {
    checkInterceptors(`class ${Class.name}: @grain: interceptors`, interceptors);
    return interceptors;
  });
}

function workersOf(Class: GrainClass, { placement }: GrainOptions): number | undefined {
  if (typeof placement !== 'object' || placement === null || !('workers' in placement)) return undefined;
  const { workers } = placement;
  if (!Number.isInteger(workers) || workers < 1 || workers > 10_000) {
    throw new InvalidConfigError(
      `class ${Class.name}: @grain: workers is ${workers}; it must be a whole number from 1 to 10000`,
    );
  }
  return workers;
}

function placementOf(Class: GrainClass, option: PlacementOption): Placement {
  if (typeof option === 'string' && Object.hasOwn(PLACEMENTS, option)) return PLACEMENTS[option];
  if (typeof option === 'object' && option !== null && 'workers' in option) return PLACEMENTS.ring;
  if (typeof option === 'object' && typeof option?.choose === 'function') return option;
  throw new InvalidConfigError(
    `class ${Class.name}: @grain: placement is ${String(option)}; ` +
      `use ${Object.keys(PLACEMENTS).join(', ')}, { workers: n } or a Placement`,
  );
}
