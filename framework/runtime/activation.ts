import { ActivationError, type DeadlockError, GranaryError, OverloadedError } from '../errors.ts';
import { construct, Grain } from '../grain/grain.ts';
import type { GrainType, MethodSpec } from '../grain/grain-type.ts';
import type { DeactivationReason } from '../grain/options.ts';
import type { GrainId } from '../identity/grain-id.ts';
import { type Call, grainOf } from '../rpc/call.ts';
import { Records } from '../storage/records.ts';
import type { ActivationServices } from './activation-services.ts';
import { modeOf, noSuchMethod } from './admission.ts';
import { argumentsOf, checkArguments } from './checked-arguments.ts';
import { deadlock, deadlockOf, waitingInChain } from './deadlock.ts';
import { Freshness } from './freshness.ts';
import { GrainSide } from './grain-side.ts';
import { runGuarded } from './guarded-calls.ts';
import { runKeyed } from './keyed-call.ts';
import type { Luggage } from './luggage.ts';
import { Mailbox } from './mailbox.ts';
import type { Destination, Journey } from './moves.ts';
import { isUse, type OwnTurn } from './own-turn.ts';
import { type Household, packUp, sayGoodbye, settleIn } from './removal.ts';
import { NO_PLACE } from './running-calls.ts';
import { Streams } from './streams.ts';
import type { Timers } from './timers.ts';
import { runTurn, turnOf } from './turn.ts';

export type ActivationState = 'creating' | 'activating' | 'active' | 'deactivating' | 'gone';

/**
 * One life of a grain in memory: its instance, its mailbox and its records. A call goes through `accept`,
 * waits in the mailbox, runs as a turn and is answered. Turns start only while the activation is active, the
 * silo is not returning from an absence, and what was read from the store is known to be current.
 */
export class Activation {
  readonly type: GrainType;
  readonly id: GrainId;
  readonly partition: number;
  readonly activationId: string;
  /** When it was created, in wall-clock milliseconds. */
  readonly since: number;
  readonly services: ActivationServices;
  readonly mailbox: Mailbox<Call>;
  state: ActivationState = 'creating';
  /** In whole milliseconds: a fraction would be a new object at each call, for which see `RunningCalls`. */
  lastUsedAt: number;
  keepUntil = 0;
  /** Somebody chose this silo for it: it is not to be moved to where the ring puts it. */
  stays = false;
  /** It ends in order to go on elsewhere. */
  #move: Destination | undefined;
  /** Made with the first timer. */
  timers: Timers | undefined;
  #instance: Grain | undefined;
  readonly #side: GrainSide;
  #records: Records | undefined;
  /** Whether the records are known to be current; undefined when there are none. */
  #freshness: Freshness | undefined;
  /** The records are being read, or `onActivate` runs. */
  #preparing = false;
  #turns = 0;
  /** Where the calls that run are: not in here, see `RunningCalls`. */
  #place = NO_PLACE;
  #streams: Streams | undefined;
  #reason: DeactivationReason = 'requested';
  /** What the grain itself did, before it was active, that ends the activation. */
  #refused: DeactivationReason | undefined;

  constructor(type: GrainType, id: GrainId, partition: number, services: ActivationServices) {
    this.type = type;
    this.id = id;
    this.partition = partition;
    this.services = services;
    this.activationId = services.random.id();
    this.since = services.clock.wallNow();
    this.lastUsedAt = Math.ceil(services.clock.now());
    this.mailbox = new Mailbox(type.mailboxMax);
    this.#side = new GrainSide(this);
  }

  // ---- life

  /** Reads the state, runs `onActivate`, then takes calls. Those that came meanwhile wait in the mailbox. */
  start(luggage?: Luggage): void {
    const { events } = this.services;
    if (luggage?.[2]) this.stays = true;
    if (events.active)
      events.publish({ type: 'activationCreated', grain: this.id, activationId: this.activationId });
    this.state = 'activating';
    try {
      this.#instance = construct(this.type.Class, this.#side);
    } catch (error) {
      this.#failed(error);
      return;
    }
    const plain = this.type.records.length === 0 && this.#instance.onActivate === BARE_GRAIN.onActivate;
    if (plain && !luggage) return this.#activated();
    this.#preparing = true;
    this.#prepare(this.#instance, luggage)
      .finally(() => {
        this.#preparing = false;
      })
      .then(
        () => this.#activated(),
        (error) => this.#failed(error),
      );
  }

  async #prepare(instance: Grain, luggage: Luggage | undefined): Promise<void> {
    if (this.type.records.length > 0) {
      this.#freshness = new Freshness(this.services);
      this.#records = new Records(this.#side, this.services.stores);
      await this.#records.load(instance);
    }
    if (luggage) await settleIn(this.#household(), luggage);
    await instance.onActivate();
  }

  #activated(): void {
    const { events } = this.services;
    if (this.state === 'deactivating') return void this.#finish(true);
    if (this.state !== 'activating') return;
    if (this.#refused)
      return this.#failed(new Error(`it was deactivated while it activated (${this.#refused})`));
    this.state = 'active';
    if (events.active)
      events.publish({ type: 'activationReady', grain: this.id, activationId: this.activationId });
    this.pump();
  }

  /** The calls that wait fail, and nothing is left behind: the next call tries anew. */
  #failed(error: unknown): void {
    const { events } = this.services;
    if (this.state === 'deactivating') return void this.#finish(false);
    if (this.state !== 'activating') return;
    const cause =
      error instanceof GranaryError && STATE_ERRORS.has(error.code)
        ? error
        : new ActivationError(`${this.id} could not be activated: ${String(error)}`, {
            grain: this.id,
            cause: error,
          });
    if (events.active) {
      const { id: grain, activationId } = this;
      events.publish({ type: 'activationFailed', grain, activationId, error: cause });
    }
    const waiting = this.mailbox.takeAll();
    this.#gone([]);
    for (const call of waiting) this.#refuse(call, cause);
  }

  /** Ends the activation when the turns that run are done. Calls that come or wait go to the next one. */
  deactivate(reason: DeactivationReason): void {
    if (UNTRUSTED.has(reason)) this.#move = undefined;
    if (this.state === 'deactivating' || this.state === 'gone') return;
    if (this.state === 'activating' && OWN_REASONS.has(reason)) {
      // The next activation would do the same, with the same calls waiting: they fail instead.
      this.#refused ??= reason;
      return;
    }
    const active = this.state === 'active';
    this.#reason = reason;
    this.state = 'deactivating';
    this.#streams?.close(this.id);
    this.timers?.end();
    // `onActivate` is the grain's code like any turn: the next activation must not begin beside it.
    if (this.mailbox.running === 0 && !this.#preparing) void this.#finish(active);
  }

  /** Moves when the turns that run are done, or `onActivate` is. */
  migrate(move: Destination): void {
    if (this.state !== 'active' && this.state !== 'activating') return;
    this.#move = move;
    this.deactivate('migrated');
  }

  async #finish(active: boolean): Promise<void> {
    const hook = active && this.#instance?.onDeactivate !== BARE_GRAIN.onDeactivate;
    if (hook || (this.#streams?.size ?? 0) > 0)
      await sayGoodbye(this.#household(), this.#streams, hook ? this.#reason : undefined);
    if (!active || !this.#move) return this.#gone(this.#rest());
    this.services.depart(this);
  }

  /** It is its turn to move. Undefined: it does not, since it has lost against another meanwhile. */
  async packUp(): Promise<Journey | undefined> {
    const contents = this.#move && (await packUp(this.#household()));
    if (!this.#move) return void this.#gone(this.#rest());
    this.#fallSilent();
    return { ...this.#move, contents };
  }

  /** It has moved, or cannot: nothing more happens here. Returns the calls that wait for the next one. */
  end(): Call[] {
    this.state = 'gone';
    return this.#rest();
  }

  /** A stream does not start over, and what the runtime wanted of this activation is void with it. */
  #rest(): Call[] {
    return this.mailbox.takeAll().filter((call) => !call.onCredit && !call.work);
  }

  #household(): Household {
    const { id, services } = this;
    return { id, services, instance: this.#instance as Grain, records: this.#records, binder: this.#side };
  }

  #gone(waiting: Call[]): void {
    this.state = 'gone';
    this.#fallSilent();
    this.services.gone(this, waiting);
  }

  /** From now on it takes no turn. */
  #fallSilent(): void {
    const { events } = this.services;
    const reason = this.#reason;
    this.timers?.end();
    if (events.active)
      events.publish({ type: 'activationGone', grain: this.id, activationId: this.activationId, reason });
  }

  /** The silo dies: nothing more happens here. */
  abandon(): void {
    this.state = 'gone';
    this.timers?.end();
    this.mailbox.takeAll();
  }

  isIdle(now: number, idleMs: number): boolean {
    if (this.state !== 'active' || this.type.keepAlive || this.keepUntil > now) return false;
    if (this.timers?.keepsAlive) return false;
    if (!this.isQuiet && !(this.timers?.onlyTicks && !this.#streams?.size)) return false;
    return now - this.lastUsedAt >= (this.type.idleMs ?? idleMs);
  }

  /** Nothing runs, and nothing waits. */
  get isQuiet(): boolean {
    const { running, waiting } = this.mailbox;
    return this.state === 'active' && running + waiting === 0 && (this.#streams?.size ?? 0) === 0;
  }

  // ---- calls

  /** Takes a call at a moment; false when this activation is gone and the call belongs to the next one. */
  accept(call: Call, now: number): boolean {
    if (this.state === 'gone') return false;
    if (call.oneWay) call.replies.value(call, undefined); // all that its caller learns is that it has arrived
    const spec = this.type.methods.get(call.method);
    if (!spec || spec.stream !== call.stream) {
      this.#refuse(call, noSuchMethod(call, this.type, spec?.stream));
      return true;
    }
    call.spec ??= spec;
    call.mode = modeOf(call, spec, this);
    const refusal =
      (call.chain.length > 0 ? this.#circleOf(call) : undefined) ??
      (spec.schema === undefined ? undefined : checkArguments(call, spec.schema, this.#side));
    if (refusal) {
      this.#refuse(call, refusal);
      return true;
    }
    this.#enter(call, now);
    return true;
  }

  /** Takes a turn of the runtime's own, a timer's tick say; false when this activation is gone. */
  takeOwnTurn(turn: OwnTurn): boolean {
    if (this.state === 'gone') return false;
    this.#enter(turn, this.services.clock.now());
    return true;
  }

  /** Runs it now, or when its time comes. */
  #enter(call: Call, now: number): void {
    if (this.mailbox.full) {
      const text = `${this.id}: ${this.mailbox.waiting} calls wait already; slow down, or raise mailboxMax`;
      this.#refuse(call, new OverloadedError(text, { grain: this.id }));
    } else if (this.#mayRunNow(call, now)) {
      this.#run(call, now);
    } else {
      this.mailbox.push(call);
      if (call.chain.length > 0) this.services.blocked(this, call);
    }
  }

  #circleOf(call: Call): DeadlockError | undefined {
    const start = this.startLink;
    if (start === undefined) return deadlockOf(call, this.running);
    const from = call.chain.indexOf(start);
    return from < 0 ? undefined : deadlock(call, [...call.chain.slice(from).map(grainOf), this.id]);
  }

  #mayRunNow(call: Call, now: number): boolean {
    return (
      (this.state === 'active' || this.#holdsUpItsEnd(call)) &&
      this.mailbox.mayStart(call) &&
      !this.#freshness?.checking &&
      this.services.mayTakeTurn(this, now) &&
      this.#isCurrent()
    );
  }

  /** A turn that must end before this activation can, waits for this call. */
  #holdsUpItsEnd(call: Call): boolean {
    return this.state === 'deactivating' && waitingInChain(call, this.running) !== undefined;
  }

  /** Starts what may start. */
  pump(): void {
    const ending = this.state === 'deactivating';
    while ((ending || this.state === 'active') && this.mailbox.waiting > 0 && !this.#freshness?.checking) {
      const now = this.services.clock.now();
      if (!this.services.mayTakeTurn(this, now) || !this.#isCurrent()) return;
      const call = ending ? this.mailbox.nextOf((each) => this.#holdsUpItsEnd(each)) : this.mailbox.next();
      if (!call) return;
      this.#run(call, now);
    }
  }

  /** Whether what was read from the store is known to be current; if not, it is looked at, then pumped. */
  #isCurrent(): boolean {
    if (!this.#freshness || this.#freshness.isKnown) return true;
    this.#freshness.check(this.#records as Records).then((failure) => {
      if (failure) this.deactivate(failure);
      this.pump();
    });
    return false;
  }

  /** Before the next turn the records are to be compared with the store, whatever is known of them. */
  doubt(): void {
    this.#freshness?.doubt();
  }

  #run(call: Call, now: number): void {
    const { events } = this.services;
    // What has begun to produce a stream has a turn also to end it.
    if (!call.onCredit && (call.cancelled || now >= call.deadline)) {
      call.cancelled = true; // it waits no more
      if (events.active) events.publish({ type: 'callExpired', grain: this.id, method: call.method });
      return;
    }
    if (isUse(call)) this.lastUsedAt = Math.ceil(now);
    call.started = true;
    this.mailbox.started(call);
    this.#place = this.services.running.add(this.#place, call);
    if (events.active) this.#tell('turnStarted', call);
    let result: unknown;
    try {
      const tracked = this.type.interleaves || this.timers?.interleave === true;
      result = tracked ? runTurn(call, () => this.#invoke(call)) : this.#invoke(call);
    } catch (error) {
      this.#ended(call);
      this.#refuse(call, error);
      this.#afterTurn(call);
      return;
    }
    if (isThenable(result)) {
      result.then(
        (value) => this.#completed(call, value),
        (error) => this.#threw(call, error),
      );
    } else {
      this.#completed(call, result);
    }
  }

  #invoke(call: Call): unknown {
    if (!call.stream) return this.#call(call);
    this.#streams ??= new Streams();
    const open = () => this.#call(call) as AsyncGenerator<unknown>;
    const again = () => {
      if (this.state !== 'active') return;
      this.mailbox.push(call);
      this.pump();
    };
    return this.#streams.of(call, open, again).step();
  }

  #call(call: Call): unknown {
    const { extras } = call;
    if (extras?.work) return extras.work();
    call.receiver?.bind(this.#side);
    const { incoming } = this.services;
    if (incoming !== undefined || extras?.checked !== undefined)
      return runGuarded(call, this.#side, this.#instance as Grain, incoming);
    const args = argumentsOf(call, this.#side);
    const instance = this.#instance as unknown as Record<string, (...args: readonly unknown[]) => unknown>;
    const { member } = call.spec as MethodSpec;
    if (extras?.idempotencyKey !== undefined)
      return runKeyed(call, this.#side, () => instance[member]?.(...args));
    return (instance[member] as (...args: readonly unknown[]) => unknown)(...args);
  }

  #completed(call: Call, value: unknown): void {
    this.#ended(call);
    if (!call.stream && !call.oneWay) call.replies.value(call, value);
    this.#afterTurn(call);
  }

  #threw(call: Call, error: unknown): void {
    this.#ended(call);
    this.#refuse(call, error);
    this.#afterTurn(call);
  }

  #refuse(call: Call, error: unknown): void {
    if (!call.oneWay) call.replies.error(call, error);
    else this.services.events.publish({ type: 'oneWayFailed', grain: this.id, method: call.method, error });
  }

  #ended(call: Call): void {
    this.mailbox.ended(call);
    this.#place = this.services.running.remove(this.#place, call);
    if (!call.stream) {
      if (call.extras !== undefined) call.onEnded?.();
      call.args = NO_ARGS;
      call.onCancel = undefined;
    }
    if (this.services.events.active) this.#tell('turnEnded', call);
  }

  #afterTurn(call: Call): void {
    if (isUse(call)) this.lastUsedAt = Math.ceil(this.services.clock.recent());
    if (this.state === 'deactivating' && this.mailbox.running === 0) void this.#finish(true);
    else if (this.mailbox.waiting > 0) this.pump();
  }

  #tell(type: 'turnStarted' | 'turnEnded', call: Call): void {
    const { id: grain, activationId } = this;
    const { method, caller, id: callId, mode, stream } = call;
    this.services.events.publish({ type, grain, activationId, method, caller, callId, mode, stream });
  }

  /** The caller waits no more. */
  cancel(caller: string, id: number): void {
    const which = (call: Call) => call.caller === caller && call.id === id;
    (this.running.find(which) ?? this.mailbox.find(which))?.cancel();
  }

  // ---- what the grain's side needs

  /** Calls that run. */
  get running(): readonly Call[] {
    return this.services.running.at(this.#place);
  }

  isWaiting(call: Call): boolean {
    return !call.cancelled && !call.started && this.state !== 'gone';
  }

  /** The call that the code which asks belongs to. */
  currentCall(): Call | undefined {
    if (this.type.interleaves) return turnOf(this.running);
    // Beside ticks that interleave one other turn may run. It may have begun before turns were told apart.
    if (this.timers?.interleave)
      return turnOf(this.running) ?? this.running.find(({ mode }) => mode !== 'interleave');
    return this.running[0];
  }

  /** Names the activating itself, in the chains of the calls that `onActivate` makes; undefined after it. */
  get startLink(): string | undefined {
    return this.#preparing ? `${this.id}\n${this.activationId}.0` : undefined;
  }

  /** Names the turn that runs a call, in the chains of the calls that it makes. */
  linkOf(call: Call): string {
    call.link ??= `${this.id}\n${this.activationId}.${++this.#turns}`;
    return call.link;
  }

  /** The instance with its records. Throws when the class has none. */
  recordsNamed(record: string): { readonly records: Records; readonly grain: Grain } {
    if (this.#records) return { records: this.#records, grain: this.#instance as Grain };
    throw new TypeError(
      `${this.id} has no record '${record}': decorate the fields to be saved with @state()`,
    );
  }
}

/** What `Grain` itself does in its hooks: nothing, so there is no need to wait for it. */
const BARE_GRAIN = Grain.prototype;
/** What ends an activation whose memory is worth nothing any more. */
const UNTRUSTED: ReadonlySet<DeactivationReason> = new Set([
  'conflict',
  'stateConflict',
  'storeFailed',
  'keyedCallFailed',
]);
/** What keeps an activation from its state: callers are told that, not only that it failed. */
const STATE_ERRORS: ReadonlySet<string> = new Set(['STORE_FAILED', 'STATE_VERSION', 'INVALID_STATE']);
const OWN_REASONS: ReadonlySet<DeactivationReason> = new Set(['requested', 'stateConflict', 'storeFailed']);
const NO_ARGS: readonly unknown[] = Object.freeze([]);

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}
