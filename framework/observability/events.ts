import type { NodeAddress } from '../identity/silo-address.ts';

/**
 * Everything that the runtime tells about itself. Logs, metrics, tests and checkers subscribe; nothing in the
 * runtime depends on them.
 */
export type RuntimeEvent =
  | { readonly type: 'siloStarted'; readonly silo: NodeAddress }
  | { readonly type: 'siloStopped'; readonly silo: NodeAddress }
  | { readonly type: 'siloReplaced'; readonly silo: NodeAddress; readonly by: NodeAddress }
  | { readonly type: 'viewChanged'; readonly era: string; readonly silos: readonly string[] }
  | { readonly type: 'eraSettled'; readonly era: string; readonly tookMs: number }
  | { readonly type: 'siloSuspected'; readonly silo: NodeAddress; readonly reason: string }
  | { readonly type: 'awayNoticed'; readonly forMs: number }
  | { readonly type: 'connectionChanged'; readonly connected: boolean }
  | { readonly type: 'messageDropped'; readonly lane: string; readonly reason: string }
  | { readonly type: 'activationCreated'; readonly grain: string; readonly activationId: string }
  | { readonly type: 'activationReady'; readonly grain: string; readonly activationId: string }
  | {
      readonly type: 'activationFailed';
      readonly grain: string;
      readonly activationId: string;
      readonly error: unknown;
    }
  | {
      readonly type: 'activationGone';
      readonly grain: string;
      readonly activationId: string;
      readonly reason: string;
    }
  | {
      readonly type: 'conflictResolved';
      readonly grain: string;
      readonly winner: string;
      readonly loser: string;
      readonly loserSilo: NodeAddress;
    }
  /** A turn, or one step of a stream. A call is the caller's address and the caller's number for it. */
  | {
      readonly type: 'turnStarted' | 'turnEnded';
      readonly grain: string;
      readonly activationId: string;
      readonly method: string;
      readonly caller: NodeAddress;
      readonly callId: number;
      /** Whether it may run beside others: with none, with those that only read, with any. */
      readonly mode: 'exclusive' | 'readOnly' | 'interleave';
      readonly stream: boolean;
    }
  | {
      readonly type: 'callMade';
      readonly grain: string;
      readonly method: string;
      readonly caller: NodeAddress;
      readonly callId: number;
      readonly timeoutMs: number;
      readonly oneWay: boolean;
      readonly stream: boolean;
      /** May run more than once: the method is idempotent or only reads. */
      readonly repeatable: boolean;
    }
  | {
      readonly type: 'callSettled';
      readonly grain: string;
      readonly method: string;
      readonly caller: NodeAddress;
      readonly callId: number;
      /** What it was rejected with; undefined when it was answered. */
      readonly error: unknown;
    }
  | {
      readonly type: 'callRetried';
      readonly grain: string;
      readonly method: string;
      readonly caller: NodeAddress;
      readonly callId: number;
      readonly reason: string;
      /** Of a call that is made again because its caller wants that (`retry`): what it failed with. */
      readonly error?: unknown;
    }
  | { readonly type: 'callForwarded'; readonly grain: string; readonly to: NodeAddress }
  | { readonly type: 'callExpired'; readonly grain: string; readonly method: string }
  | {
      readonly type: 'oneWayFailed';
      readonly grain: string;
      readonly method: string;
      readonly error: unknown;
    }
  | { readonly type: 'hookFailed'; readonly grain: string; readonly hook: string; readonly error: unknown }
  /** A tick threw, or (`OverloadedError`) found the mailbox full and did not run. The timer goes on. */
  | { readonly type: 'timerFailed'; readonly grain: string; readonly timer: string; readonly error: unknown }
  /** An activation read, saved or cleared a record; the store has acknowledged it. */
  | {
      readonly type: 'recordRead' | 'recordSaved' | 'recordCleared';
      readonly grain: string;
      readonly activationId: string;
      readonly record: string;
      /** What the activation held before; undefined when it knew of no record. */
      readonly before: string | undefined;
      readonly etag: string | undefined;
    }
  /** A grain has moved, or is about to, without what it had in memory; it goes on from its store. */
  | { readonly type: 'luggageLost'; readonly grain: string; readonly reason: string }
  /** An attempt to deliver an event has failed: it will be tried again, or is put aside. */
  | {
      readonly type: 'eventFailed' | 'eventDeadLettered';
      readonly topic: string;
      readonly grain: string;
      readonly seq: number;
      readonly attempt: number;
      readonly error: unknown;
    }
  /** A log of events does not answer; what reads it tries again. */
  | { readonly type: 'eventLogFailed'; readonly topic: string; readonly error: unknown }
  /** A tick of a reminder has failed; `retryInMs` is undefined when it is given up. */
  | {
      readonly type: 'reminderFailed';
      readonly grain: string;
      readonly reminder: string;
      readonly scheduledAt: number;
      /** Failures of the grain, as against those of the cluster, which do not count. */
      readonly failures: number;
      readonly retryInMs: number | undefined;
      readonly error: unknown;
    }
  /** A tick is not made, nor are those that were `missed` after it: the reminder skips what is late. */
  | {
      readonly type: 'reminderSkipped';
      readonly grain: string;
      readonly reminder: string;
      readonly scheduledAt: number;
      readonly missed: number;
    }
  /** The store of reminders does not answer; it is asked again. */
  | { readonly type: 'reminderStoreFailed'; readonly error: unknown }
  | { readonly type: 'listenerFailed'; readonly error: unknown };

export type RuntimeEventType = RuntimeEvent['type'];
export type RuntimeListener = (event: RuntimeEvent) => void;

/** What happens at every call or activation; all other events are rare. */
const FREQUENT: ReadonlySet<RuntimeEventType> = new Set([
  'activationCreated',
  'activationReady',
  'activationFailed',
  'activationGone',
  'turnStarted',
  'turnEnded',
  'callMade',
  'callSettled',
  'callRetried',
  'callForwarded',
  'callExpired',
  'recordRead',
  'recordSaved',
  'recordCleared',
]);

/**
 * The event stream of one silo or client. Frequent events are published only while `active`, so that they
 * cost one comparison when nobody wants them; rare ones are always published.
 */
export class RuntimeEvents {
  readonly #listeners = new Map<RuntimeListener, ReadonlySet<RuntimeEventType> | undefined>();
  /** Whether anybody listens to frequent events. Ask before building one. */
  active = false;

  /**
   * Listens, to all events or to those of some types, until the returned function is called. A listener runs
   * within the runtime: it must be quick and must not throw.
   */
  subscribe(listener: RuntimeListener, types?: readonly RuntimeEventType[]): () => void {
    const each: RuntimeListener = (event) => listener(event);
    this.#listeners.set(each, types && new Set(types));
    this.#activate();
    return () => {
      this.#listeners.delete(each);
      this.#activate();
    };
  }

  #activate(): void {
    this.active = [...this.#listeners.values()].some(
      (types) => types === undefined || [...types].some((type) => FREQUENT.has(type)),
    );
  }

  publish(event: RuntimeEvent): void {
    for (const [listener, types] of this.#listeners) {
      if (types === undefined || types.has(event.type)) this.#tell(listener, event);
    }
  }

  #tell(listener: RuntimeListener, event: RuntimeEvent): void {
    try {
      listener(event);
    } catch (error) {
      if (event.type !== 'listenerFailed') this.publish({ type: 'listenerFailed', error });
    }
  }
}
