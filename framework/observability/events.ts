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
  | {
      readonly type: 'turnStarted';
      readonly grain: string;
      readonly activationId: string;
      readonly method: string;
    }
  | {
      readonly type: 'turnEnded';
      readonly grain: string;
      readonly activationId: string;
      readonly method: string;
    }
  | { readonly type: 'callRetried'; readonly grain: string; readonly method: string; readonly reason: string }
  | { readonly type: 'callForwarded'; readonly grain: string; readonly to: NodeAddress }
  | { readonly type: 'callExpired'; readonly grain: string; readonly method: string }
  | {
      readonly type: 'oneWayFailed';
      readonly grain: string;
      readonly method: string;
      readonly error: unknown;
    }
  | { readonly type: 'hookFailed'; readonly grain: string; readonly hook: string; readonly error: unknown }
  | { readonly type: 'recordSaved'; readonly grain: string; readonly record: string; readonly etag: string }
  | { readonly type: 'listenerFailed'; readonly error: unknown };

export type RuntimeEventType = RuntimeEvent['type'];
export type RuntimeListener = (event: RuntimeEvent) => void;

/**
 * The event stream of one silo or client. What happens at every call or activation is published only while
 * `active`, so that it costs one comparison when nobody wants it; what is rare is always published.
 */
export class RuntimeEvents {
  readonly #listeners = new Set<RuntimeListener>();
  readonly #rareListeners = new Set<RuntimeListener>();
  /** Whether anybody listens to frequent events. Ask before building one. */
  active = false;

  /** Listens to rare events only, without switching the frequent ones on. */
  subscribeRare(listener: RuntimeListener): () => void {
    this.#rareListeners.add(listener);
    return () => this.#rareListeners.delete(listener);
  }

  /**
   * Listens until the returned function is called. A listener runs within the runtime: it must be quick and
   * must not throw.
   */
  subscribe(listener: RuntimeListener): () => void {
    this.#listeners.add(listener);
    this.active = true;
    return () => {
      this.#listeners.delete(listener);
      this.active = this.#listeners.size > 0;
    };
  }

  publish(event: RuntimeEvent): void {
    for (const listener of this.#listeners) this.#tell(listener, event);
    for (const listener of this.#rareListeners) this.#tell(listener, event);
  }

  #tell(listener: RuntimeListener, event: RuntimeEvent): void {
    try {
      listener(event);
    } catch (error) {
      if (event.type !== 'listenerFailed') this.publish({ type: 'listenerFailed', error });
    }
  }
}
