import type { Logger } from 'pino';
import { InvalidConfigError, NoSiloError, OverloadedError } from '../errors.ts';
import { checkKnown } from '../grain/checks.ts';
import type { GrainContext } from '../grain/context.ts';
import { construct, type Grain, type GrainClass, type GrainHost, isConstructing } from '../grain/grain.ts';
import type { GrainTimer, TimerArguments } from '../grain/grain-timer.ts';
import { type GrainType, grainTypeOf } from '../grain/grain-type.ts';
import type { GrainGroups } from '../grain/groups.ts';
import type { Caller, OutgoingCall } from '../grain/reference.ts';
import type { Reminder, ReminderTick, RemindOptions } from '../grain/reminder-options.ts';
import type { ReplayFrom } from '../grain/subscribe-options.ts';
import {
  canonicalKey,
  type GrainId,
  type GrainKey,
  grainIdOf,
  keyOf,
  keyParts,
  readableKey,
} from '../identity/grain-id.ts';
import { LIMITS } from '../limits.ts';
import { GrainReminders } from '../reminders/grain-reminders.ts';
import { readBaggage } from '../rpc/baggage.ts';
import { NO_CHAIN } from '../rpc/call.ts';
import type { CallOrigin } from '../rpc/outbound.ts';
import { referenceTo } from '../rpc/reference-codec.ts';
import type { RecordEvent, RecordOwner, Records } from '../storage/records.ts';
import type { Random } from '../system/random.ts';
import type { Activation } from './activation.ts';
import { BoundGroups } from './bound-groups.ts';
import { waitingInChain } from './deadlock.ts';
import { Timers } from './timers.ts';

/**
 * The activation as its grain sees it: the key, the context, the records, and the calls that the grain makes,
 * which belong to the call that it runs.
 */
export class GrainSide implements GrainHost, GrainContext, Caller, RecordOwner {
  readonly #activation: Activation;
  #log: Logger | undefined;
  /** Made when they are first asked for. */
  #reminders: GrainReminders | undefined;

  constructor(activation: Activation) {
    this.#activation = activation;
  }

  get id(): GrainId {
    return this.#activation.id;
  }

  get type(): GrainType {
    return this.#activation.type;
  }

  get key(): string {
    return readableKey(this.id);
  }

  get keyParts(): readonly string[] {
    return keyParts(keyOf(this.id));
  }

  // ---- the context

  get context(): GrainContext {
    return this;
  }

  get activationId(): string {
    return this.#activation.activationId;
  }

  get silo(): string {
    return this.#activation.services.siloName;
  }

  get log(): Logger {
    this.#log ??= this.#activation.services.log.logger.child({
      grain: this.id,
      activation: this.activationId,
    });
    return this.#log;
  }

  get random(): Random {
    return this.#activation.services.random;
  }

  get request(): Readonly<Record<string, unknown>> {
    return readBaggage(this.#activation.currentCall()?.baggage);
  }

  get signal(): AbortSignal {
    const call = this.#activation.currentCall();
    if (!call) return new AbortController().signal;
    if (call.signal) return call.signal;
    const { clock } = this.#activation.services;
    const controller = new AbortController();
    call.signal = controller.signal;
    if (call.cancelled) controller.abort();
    const hasDeadline = call.deadline < Number.POSITIVE_INFINITY;
    const timer = hasDeadline && clock.after(call.deadline - clock.now(), () => controller.abort());
    const before = call.onCancel;
    call.onCancel = () => {
      before?.();
      controller.abort();
    };
    if (timer) call.onEnded = () => timer.cancel();
    return controller.signal;
  }

  get groups(): GrainGroups {
    return new BoundGroups(this.#activation.services.groups(), this, { $id: this.id });
  }

  // ---- topics

  publish(topic: string, key: GrainKey, event: unknown): Promise<number> {
    return this.#activation.services.topics().publish(topic, key, event, this.#deadline);
  }

  broadcast(topic: string, event: unknown): Promise<number> {
    return this.#activation.services.topics().broadcast(topic, event);
  }

  async subscribe(topic: string, key: GrainKey, options: { from?: ReplayFrom } = {}): Promise<void> {
    checkKnown(`${this.id}: subscribe to '${topic}'`, options, ['from']);
    const { from = 'new' } = options;
    const subscriber = { target: this.id, subscriptions: this.type.subscriptions };
    return this.#activation.services.topics().subscribe(subscriber, topic, key, from, this.#deadline);
  }

  unsubscribe(topic: string, key: GrainKey): Promise<void> {
    const subscriber = { target: this.id, subscriptions: this.type.subscriptions };
    return this.#activation.services.topics().unsubscribe(subscriber, topic, key, this.#deadline);
  }

  get #deadline(): number {
    return this.#activation.currentCall()?.deadline ?? Number.POSITIVE_INFINITY;
  }

  now(): number {
    return this.#activation.services.clock.wallNow();
  }

  deactivate(): void {
    this.#activation.deactivate('requested');
  }

  migrate(silo?: string): void {
    const { type, state, services } = this.#activation;
    if (type.workers !== undefined) throw new TypeError(`${this.id}: a worker stays where its callers are`);
    if (state === 'activating') throw new TypeError(`${this.id}: migrate() is for turns, not for onActivate`);
    if (silo !== undefined && !services.canBeOn(silo, this.id)) {
      const text = `${this.id}: no silo '${silo}' is active that has the class ${type.name} and its labels`;
      throw new NoSiloError(text, { grain: this.id });
    }
    if (silo === this.silo) this.#activation.stays = true;
    else this.#activation.migrate({ to: silo, stays: silo !== undefined });
  }

  keepAlive(ms: number): void {
    this.#activation.keepUntil = Math.max(
      this.#activation.keepUntil,
      this.#activation.services.clock.now() + ms,
    );
  }

  timer(...args: TimerArguments): GrainTimer {
    if (isConstructing(this)) {
      const text = `${this.id}: context.timer: a constructor cannot make timers; make them in onActivate()`;
      throw new InvalidConfigError(text);
    }
    this.#activation.timers ??= new Timers(this.#activation);
    return this.#activation.timers.make(args);
  }

  // ---- reminders

  async remind(name: string, options: RemindOptions): Promise<Reminder> {
    return this.#ownReminders().remind(name, options);
  }

  async forget(name: string): Promise<boolean> {
    return this.#ownReminders().forget(name);
  }

  async reminders(): Promise<readonly Reminder[]> {
    return this.#ownReminders().list();
  }

  async tick(grain: Grain, registration: string, tick: ReminderTick): Promise<number | undefined> {
    const member = this.type.reminders.get(tick.name)?.member;
    if (member === undefined) return undefined;
    const methods = grain as unknown as Record<string, (tick: ReminderTick) => unknown>;
    return this.#ownReminders().make(registration, tick, () => methods[member]?.(tick));
  }

  #ownReminders(): GrainReminders {
    const { reminders } = this.#activation.services;
    this.#reminders ??= new GrainReminders(this.id, this.type, reminders);
    return this.#reminders;
  }

  // ---- records

  isKeyed(): boolean {
    const call = this.#activation.currentCall();
    if (call === undefined) return false;
    if (call.idempotencyKey !== undefined) return true;
    const keyed = this.#activation.running.filter(({ idempotencyKey }) => idempotencyKey !== undefined);
    return waitingInChain(call, keyed) !== undefined;
  }

  recordsNamed(record: string): { readonly records: Records; readonly grain: Grain } {
    return this.#activation.recordsNamed(record);
  }

  etag(record = 'state'): string | undefined {
    return this.#activation.recordsNamed(record).records.etag(record);
  }

  save(record: string): Promise<void> {
    return this.#withRecords(record, (records, grain) => records.save(grain, record));
  }

  reload(record: string): Promise<void> {
    return this.#withRecords(record, (records, grain) => records.reload(grain, record));
  }

  clear(record: string): Promise<void> {
    return this.#withRecords(record, (records, grain) => records.clear(grain, record));
  }

  async #withRecords(record: string, act: (records: Records, grain: Grain) => Promise<void>): Promise<void> {
    const { records, grain } = this.#activation.recordsNamed(record);
    return act(records, grain);
  }

  get binder(): Caller {
    return this;
  }

  defaults(): Grain {
    return construct(this.type.Class, this);
  }

  spoiled(reason: 'stateConflict' | 'storeFailed' | 'keyedCallFailed'): void {
    this.#activation.deactivate(reason);
  }

  tell(type: RecordEvent, record: string, before: string | undefined, etag: string | undefined): void {
    const { activationId, services } = this.#activation;
    const { events } = services;
    if (events.active) events.publish({ type, grain: this.id, activationId, record, before, etag });
  }

  // ---- calls that the grain makes

  reference(type: GrainClass | string, key: GrainKey): object {
    const name = typeof type === 'string' ? type : grainTypeOf(type).name;
    return referenceTo(grainIdOf(name, canonicalKey(name, key)), this);
  }

  grainType(name: string): GrainType | undefined {
    return this.#activation.services.grainType(name);
  }

  invoke(call: OutgoingCall): Promise<unknown> {
    let origin: CallOrigin;
    try {
      origin = this.#origin();
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#activation.services.callsOut.invoke(call, origin);
  }

  stream(call: OutgoingCall): AsyncIterableIterator<unknown> {
    return this.#activation.services.callsOut.stream(call, this.#origin());
  }

  invokeOrStream(call: OutgoingCall): Promise<unknown> & AsyncIterable<unknown> {
    return this.#activation.services.callsOut.invokeOrStream(call, this.#origin());
  }

  #origin(): CallOrigin {
    const call = this.#activation.currentCall();
    if (!call) {
      const { startLink } = this.#activation;
      const chain = startLink === undefined ? NO_CHAIN : [startLink];
      return { chain, deadline: Number.POSITIVE_INFINITY, baggage: undefined, binder: this };
    }
    if (call.chain.length >= LIMITS.chainDepth) {
      const text = `${this.id}: the call chain is ${LIMITS.chainDepth} calls deep; does it ever end?`;
      throw new OverloadedError(text, { grain: this.id });
    }
    const chain = [...call.chain, this.#activation.linkOf(call)];
    return { chain, deadline: call.deadline, baggage: call.baggage, binder: this };
  }
}
