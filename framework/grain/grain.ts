import { assert } from '../errors.ts';
import type { GrainKey } from '../identity/grain-id.ts';
import type { GrainContext } from './context.ts';
import type { DeactivationReason } from './options.ts';
import type { GrainRef } from './reference-types.ts';
import type { ReminderTick } from './reminder-options.ts';

/** A class whose instances are grains. */
export type GrainClass<G extends Grain = Grain> = new () => G;

/** What an activation does for the grain that lives in it. */
export interface GrainHost {
  readonly key: string;
  readonly keyParts: readonly string[];
  readonly context: GrainContext;
  reference(type: GrainClass | string, key: GrainKey): object;
  save(record: string): Promise<void>;
  reload(record: string): Promise<void>;
  clear(record: string): Promise<void>;
  publish(topic: string, key: GrainKey, event: unknown): Promise<number>;
  broadcast(topic: string, event: unknown): Promise<number>;
  /**
   * Calls the method of a reminder. Resolves to how many missed ticks this one stood for; to undefined when
   * nobody waits for it any more.
   */
  tick(grain: Grain, registration: string, tick: ReminderTick): Promise<number | undefined>;
}

/** What ticks of reminders run, whatever the reminder: not a name that a class could have a use for. */
export const TICK_MEMBER = '$remind';

let nextHost: GrainHost | undefined;

/** Makes an instance that knows its host from the first field initializer on. */
export function construct<G extends Grain>(Class: GrainClass<G>, host: GrainHost): G {
  const outer = nextHost;
  nextHost = host;
  try {
    return new Class();
  } finally {
    nextHost = outer;
  }
}

/** Whether the code that asks is the constructor, or a field's initializer, of a grain of this host. */
export function isConstructing(host: GrainHost): boolean {
  return nextHost === host;
}

/**
 * What grain classes extend. An instance lives in one activation: it is made when a call comes and the grain
 * is active nowhere, and runs one call at a time.
 */
export abstract class Grain {
  readonly #host: GrainHost;

  static {
    // Not a method of the class: it is nothing that a grain's author should see.
    const tick = function (this: Grain, registration: string, tick: ReminderTick) {
      return this.#host.tick(this, registration, tick);
    };
    Object.defineProperty(Grain.prototype, TICK_MEMBER, { value: tick });
  }

  constructor() {
    assert(
      nextHost,
      'a grain is made by its silo: use silo.grain(Type, key) to get a reference instead of `new`',
    );
    this.#host = nextHost;
  }

  /** The grain's key as text. Of a composite key, its canonical form; `keyParts` has the parts. */
  get key(): string {
    return this.#host.key;
  }

  get keyParts(): readonly string[] {
    return this.#host.keyParts;
  }

  get context(): GrainContext {
    return this.#host.context;
  }

  /**
   * A reference to another grain. Calls through it belong to the call that runs now: its deadline, its chain
   * and its baggage.
   */
  grain<G extends Grain>(type: GrainClass<G> | string, key: GrainKey): GrainRef<G> {
    return this.#host.reference(type, key) as GrainRef<G>;
  }

  /**
   * Writes a record's fields as they are now, if nobody else has written since they were read. Throws
   * `StateConflictError` when somebody has, `StoreError` when the outcome is unknown; after either this
   * activation ends with the turns that run.
   */
  save(record = 'state'): Promise<void> {
    return this.#host.save(record);
  }

  /** Reads a record's fields again; what was not saved is lost. */
  reload(record = 'state'): Promise<void> {
    return this.#host.reload(record);
  }

  /** Removes a record from the store, under the same condition as `save`; its fields get their defaults. */
  clear(record = 'state'): Promise<void> {
    return this.#host.clear(record);
  }

  /**
   * Puts an event into a topic. Resolves to its number when the log has it: from then on each subscriber
   * gets it at least once, and the events of one key in the order of their numbers. Rejects with
   * `EventLogError` at the deadline of the call that runs: then the log may have it, or not.
   */
  publish(topic: string, key: GrainKey, event: unknown): Promise<number> {
    return this.#host.publish(topic, key, event);
  }

  /**
   * Sends an event to those grains that hear broadcasts of the topic and are active now: at most once, in no
   * log. Resolves to the number of silos that it was sent to; who hears it is not known.
   */
  broadcast(topic: string, event: unknown): Promise<number> {
    return this.#host.broadcast(topic, event);
  }

  /**
   * Runs before the first call, with the state read. If it throws, the calls that wait fail with
   * `ActivationError`.
   */
  async onActivate(): Promise<void> {}

  /**
   * What this activation has in memory and the next one is to have, when the grain moves to another silo: any
   * value that can travel. State fields go along by themselves, saved or not. Runs after `onDeactivate`.
   */
  onDehydrate(): unknown {
    return undefined;
  }

  /**
   * Takes over what `onDehydrate` gave on the silo that the grain came from; before `onActivate`, with the
   * state read. Not run when the move failed half-way, or somebody else has saved since: then the grain goes
   * on from its store.
   */
  onRehydrate(_memory: unknown): void | Promise<void> {}

  /**
   * Runs after the last call; calls that come meanwhile wait for the next activation. Not run when the
   * process dies.
   */
  async onDeactivate(_reason: DeactivationReason): Promise<void> {}
}
