import { InvalidConfigError, OverloadedError } from '../errors.ts';
import { checkSchedule, checkTimer } from '../grain/check-timer.ts';
import type { GrainTimer, TimerArguments, TimerOptions, TimerSchedule } from '../grain/grain-timer.ts';
import { LIMITS } from '../limits.ts';
import type { Timer } from '../system/clock.ts';
import type { Activation } from './activation.ts';
import { isUse, type OwnTurn } from './own-turn.ts';

/** When a timer that ticks once found the mailbox full, it tries again: there is no next period. */
const RETRY_MS = 1_000;

/**
 * The timers of one activation. A tick is a turn like any other: it waits in the mailbox, for the store and
 * for the silo's return, and a deadlock through it is seen. A timer counts its time only while no tick of it
 * waits or runs. So a tick is never queued twice, never runs beside itself, and a grain that is slower than
 * its timer is not buried under what it missed.
 */
export class Timers {
  readonly #activation: Activation;
  /** Those that are to tick, and those whose tick runs, by name. */
  readonly #timers = new Map<string, ActivationTimer>();
  #lastNumber = 0;
  #interleave = false;

  constructor(activation: Activation) {
    this.#activation = activation;
  }

  /** Whether ticks may run beside the turns of a class that does not interleave. */
  get interleave(): boolean {
    return this.#interleave;
  }

  /** Whether any timer is to tick. */
  get isRunning(): boolean {
    return this.#timers.size > 0;
  }

  /** Whether a timer keeps the activation from being collected. */
  get keepsAlive(): boolean {
    for (const { keepAlive } of this.#timers.values()) if (keepAlive) return true;
    return false;
  }

  /** Whether nothing runs or waits that counts as use. */
  get onlyTicks(): boolean {
    const { running, mailbox } = this.#activation;
    return !running.some(isUse) && mailbox.find(isUse) === undefined;
  }

  make(args: TimerArguments): GrainTimer {
    const [given, options, callback] = args.length === 3 ? args : [undefined, ...args];
    const where = `${this.#activation.id}: context.timer`;
    checkTimer(where, given, options, callback);
    const timer = new ActivationTimer(this, this.#activation, given ?? this.#freeName(), options, callback);
    if (options.interleave && !this.#activation.type.interleaves) this.#interleave = true;
    timer.start(options);
    return timer;
  }

  /** The activation ends: no tick begins any more, and those that run are told. */
  end(): void {
    for (const timer of this.#timers.values()) timer.end();
    this.#timers.clear();
  }

  /** A timer is to tick. The one that has its name, if any, must make room: it is returned. */
  enter(timer: ActivationTimer): ActivationTimer | undefined {
    const before = this.#timers.get(timer.name);
    if (!before && this.#timers.size >= LIMITS.timers) {
      const grain = this.#activation.id;
      const text = `${grain}: it has ${LIMITS.timers} timers already; dispose of some, or let one do for all`;
      throw new OverloadedError(text, { grain });
    }
    this.#timers.set(timer.name, timer);
    return before === timer ? undefined : before;
  }

  /** A timer will not tick any more. */
  leave(timer: ActivationTimer): void {
    if (this.#timers.get(timer.name) === timer) this.#timers.delete(timer.name);
  }

  #freeName(): string {
    do this.#lastNumber++;
    while (this.#timers.has(String(this.#lastNumber)));
    return String(this.#lastNumber);
  }
}

class ActivationTimer implements GrainTimer {
  readonly name: string;
  readonly keepAlive: boolean;
  readonly #timers: Timers;
  readonly #activation: Activation;
  readonly #interleave: boolean;
  readonly #callback: () => unknown;
  #periodMs: number | undefined;
  #alarm: Timer | undefined;
  /** The tick that waits or runs; also one of the timer that had this name before. */
  #tick: OwnTurn | undefined;
  /** How long to wait when that has ended; undefined: for ever. */
  #nextMs: number | undefined;
  #disposed = false;

  constructor(
    timers: Timers,
    activation: Activation,
    name: string,
    options: TimerOptions,
    callback: () => unknown,
  ) {
    this.#timers = timers;
    this.#activation = activation;
    this.name = name;
    this.keepAlive = options.keepAlive ?? false;
    this.#interleave = options.interleave === true || activation.type.reentrant === true;
    this.#callback = callback;
  }

  change(schedule: TimerSchedule): void {
    const where = `${this.#activation.id}: timer ${this.name}`;
    checkSchedule(where, schedule);
    if (this.#disposed) {
      throw new InvalidConfigError(`${where} was disposed of, or replaced by another of this name; make one`);
    }
    this.start(schedule);
  }

  /** Begins to count, anew if it has begun. */
  start(schedule: TimerSchedule): void {
    if (this.#isOver) return;
    const running = this.#timers.enter(this)?.makeRoom();
    if (running) this.#await(running);
    this.#halt();
    this.#periodMs = schedule.periodMs;
    const dueMs = (schedule.dueMs ?? schedule.periodMs) as number;
    if (this.#tick) this.#nextMs = dueMs;
    else this.#wait(dueMs);
  }

  dispose(): void {
    this.makeRoom();
    if (!this.#tick) this.#timers.leave(this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Another timer takes the name. Returns the tick that runs and has to end before that one's may begin. */
  makeRoom(): OwnTurn | undefined {
    this.#disposed = true;
    this.#halt();
    return this.#tick;
  }

  end(): void {
    this.#halt();
    this.#tick?.cancel();
  }

  get #isOver(): boolean {
    const { state } = this.#activation;
    return state === 'deactivating' || state === 'gone';
  }

  /** Nothing is to come any more; what runs, runs. */
  #halt(): void {
    this.#alarm?.cancel();
    this.#alarm = undefined;
    this.#nextMs = undefined;
    if (!this.#tick || this.#tick.started) return;
    this.#activation.mailbox.remove(this.#tick);
    this.#tick = undefined;
  }

  #wait(ms: number): void {
    this.#alarm = this.#activation.services.clock.inBackground(ms, () => this.#due());
  }

  #due(): void {
    this.#alarm = undefined;
    this.#nextMs = this.#periodMs;
    const tick = this.#activation.services.ownTurns.make({
      target: this.#activation.id,
      method: `$timer.${this.name}`,
      interleave: this.#interleave,
      background: !this.keepAlive,
      work: this.#callback,
    });
    tick.ended.catch((error) => this.#failed(tick, error));
    this.#await(tick);
    this.#activation.takeOwnTurn(tick);
  }

  #await(tick: OwnTurn): void {
    this.#tick = tick;
    const done = () => this.#ended(tick);
    tick.ended.then(done, done);
  }

  #failed(tick: OwnTurn, error: unknown): void {
    const { id: grain, services } = this.#activation;
    if (tick.signal?.aborted && error instanceof Error && error.name === 'AbortError') return; // as it should
    services.events.publish({ type: 'timerFailed', grain, timer: this.name, error });
    if (this.#tick === tick && !tick.started) this.#nextMs ??= RETRY_MS;
  }

  #ended(tick: OwnTurn): void {
    if (this.#tick !== tick) return;
    this.#tick = undefined;
    if (this.#nextMs === undefined || this.#isOver) this.#timers.leave(this);
    else this.#wait(this.#nextMs);
  }
}
