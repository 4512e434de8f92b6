import { InvalidConfigError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { checkKnown, checkNumber, propertyAlong } from './checks.ts';
import { Grain, type GrainClass } from './grain.ts';
import type { MethodSpec } from './grain-type.ts';
import type { MemberRecord } from './metadata.ts';
import type { SubscribeOptions } from './subscribe-options.ts';

/** What `@subscribe()` records. */
export interface SubscriptionRecord extends SubscribeOptions {
  readonly topic: string;
}

/** A handler of events, with defaults filled in. */
export interface SubscriptionSpec {
  readonly topic: string;
  readonly explicit: boolean;
  readonly broadcast: boolean;
  readonly from: 'new' | 'start';
  readonly tries: number;
  /** The call that is a delivery. */
  readonly spec: MethodSpec;
}

const OPTIONS: readonly string[] = [
  ...['topic', 'explicit', 'broadcast', 'from', 'tries', 'timeoutMs'],
  'interleave',
];
const GENERATOR = Object.getPrototypeOf(async function* () {}) as object;
const TOPIC = /^[A-Za-z0-9_-]{1,64}(\.dead)?$/;

/** Throws `InvalidConfigError` when a topic cannot have this name. */
export function checkTopic(where: string, topic: unknown): asserts topic is string {
  if (typeof topic === 'string' && TOPIC.test(topic)) return;
  throw new InvalidConfigError(
    `${where}: '${String(topic).slice(0, 80)}' cannot be a topic; use 1 to 64 letters, digits, - and _`,
  );
}

/** The call that delivers an event, or a broadcast. No reference makes it, as its name begins with `$`. */
export function deliveryMethod(topic: string, broadcast = false): string {
  return `${broadcast ? '$broadcast' : '$event'}.${topic}`;
}

/** What a class subscribes to. Throws `InvalidConfigError`. */
export function checkSubscriptions(
  Class: GrainClass,
  members: readonly MemberRecord<SubscriptionRecord>[],
  worker: boolean,
): readonly SubscriptionSpec[] {
  const subscriptions = new Map<string, SubscriptionSpec>();
  for (const { member, options, isStatic } of members) {
    const where = `class ${Class.name}: @subscribe on ${String(member)}`;
    checkTopic(where, options.topic);
    if (isStatic)
      throw new InvalidConfigError(`${where}: a static method belongs to no grain; remove 'static'`);
    checkMember(Class, where, member);
    checkOptions(where, options, worker);
    const subscription = specOf(member as string, options, worker);
    const other = subscriptions.get(subscription.spec.name);
    if (other && other.spec.member !== member) {
      const text = `${other.spec.member} handles '${options.topic}' already; let one handler call the other`;
      throw new InvalidConfigError(`${where}: ${text}`);
    }
    subscriptions.set(subscription.spec.name, subscription);
  }
  return [...subscriptions.values()];
}

function checkMember(Class: GrainClass, where: string, member: string | symbol): void {
  if (typeof member === 'symbol' || member.startsWith('#'))
    throw new InvalidConfigError(`${where}: the runtime cannot call it; give the method a public name`);
  const body: unknown = propertyAlong(Class.prototype, member)?.value; // without running an accessor
  if (typeof body !== 'function')
    throw new InvalidConfigError(`${where}: it is no method; an event is handled by one`);
  if (Object.getPrototypeOf(body) === GENERATOR)
    throw new InvalidConfigError(`${where}: nobody would read its items; use a plain async method`);
  if (member in Grain.prototype || member in Object.prototype || member.startsWith('$'))
    throw new InvalidConfigError(`${where}: this name has a meaning of its own; choose another`);
}

function checkOptions(where: string, options: SubscriptionRecord, worker: boolean): void {
  checkKnown(where, options, OPTIONS);
  const { explicit, broadcast, from, tries, timeoutMs } = options;
  checkNumber(where, 'timeoutMs', timeoutMs, 1, LIMITS.callTimeoutMaxMs);
  checkNumber(where, 'tries', tries, 1, 1_000_000);
  if (tries !== undefined && !Number.isInteger(tries))
    throw new InvalidConfigError(`${where}: tries is ${tries}; it must be a whole number`);
  if (![undefined, 'new', 'start'].includes(from))
    throw new InvalidConfigError(`${where}: from is '${String(from)}'; it must be 'new' or 'start'`);
  if (explicit && (broadcast || from !== undefined)) {
    const not = broadcast ? 'broadcast' : 'from';
    throw new InvalidConfigError(
      `${where}: explicit and ${not} exclude each other; context.subscribe says from`,
    );
  }
  if (broadcast && (from !== undefined || tries !== undefined))
    throw new InvalidConfigError(
      `${where}: a broadcast is in no log and is not repeated; remove from and tries`,
    );
  if (worker && (explicit || broadcast))
    throw new InvalidConfigError(`${where}: a worker has no place of its own; it gets events by key alone`);
}

function specOf(member: string, options: SubscriptionRecord, worker: boolean): SubscriptionSpec {
  const { topic, explicit = false, broadcast = false, from = 'new', tries = LIMITS.eventTries } = options;
  const { timeoutMs, interleave = false } = options;
  const name = deliveryMethod(topic, broadcast);
  const plain = { readOnly: false, stream: false, oneWay: broadcast, repeatable: !broadcast };
  const spec: MethodSpec = { ...plain, name, member, interleave, timeoutMs, schema: undefined, worker };
  return { topic, explicit, broadcast, from, tries, spec };
}
