import type { NodeAddress } from '../../identity/silo-address.ts';
import type { RuntimeEvent } from '../../observability/events.ts';

/**
 * What the world around the nodes tells: what happens to machines, network and stores. The nodes themselves
 * cannot know it.
 */
export type WorldEvent =
  /** Gone without a word: nothing that it did after this counts. */
  | { readonly type: 'nodeCrashed' }
  /** Stopped, as by SIGSTOP, or made so slow that it is not punctual; and as usual again. */
  | { readonly type: 'nodePaused' }
  | { readonly type: 'nodeResumed' }
  /**
   * `whole`: every node that runs reaches every other, none is paused or slowed, nothing is lost. `ordered`:
   * what one node sends to another arrives, once, in that order.
   */
  | { readonly type: 'networkChanged'; readonly whole: boolean; readonly ordered: boolean }
  /** All silos that run see each other, and nobody else, and have nothing to settle; or no longer. */
  | { readonly type: 'agreementChanged'; readonly agreed: boolean }
  /** A store applied a write or a clear (then `etag` is undefined), whether or not its caller hears of it. */
  | {
      readonly type: 'recordApplied';
      readonly grain: string;
      readonly record: string;
      readonly before: string | undefined;
      readonly etag: string | undefined;
    };

/** One entry of a history: what happened, when, and to whom or by whose word. */
export interface Observation {
  /** Milliseconds on one clock that all nodes share. */
  readonly at: number;
  /** The node it is about; for a store, the one that wrote; empty when it is about all. */
  readonly node: NodeAddress | '';
  readonly event: RuntimeEvent | WorldEvent;
}
