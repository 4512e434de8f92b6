import type { Caller } from '../grain/reference.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { Call, type CallFields } from './call.ts';
import type { Expiring } from './deadline-wheel.ts';

/**
 * How far a call is known to have come. Only what was surely not started may be sent again without the
 * method's leave.
 */
export type Progress = 'notSent' | 'sent' | 'local';

/** A call that this node has made and that has not been answered. */
export class PendingCall extends Call implements Expiring {
  slot = -1;
  before: Expiring | undefined;
  after: Expiring | undefined;
  /** Its neighbours among the calls that wait; `PendingCalls` links them. */
  older: PendingCall | undefined;
  newer: PendingCall | undefined;
  progress: Progress = 'notSent';
  /** Who has it, as far as is known. */
  sentTo: NodeAddress | undefined;
  /** When it was sent there, as far as is known, on this node's clock. */
  sentAt = 0;
  /** It was passed on, and has come to where it was passed on to. */
  landed = false;
  /** Of the frame that it left with last. */
  ticket = 0;
  attempts = 0;
  /** Why it is not under way, for the error when time runs out. */
  obstacle: string | undefined;
  /** Who the references in the result are bound to. */
  readonly binder: Caller;
  /** Lets go of what was held for the call. */
  onSettled: (() => void) | undefined;
  readonly #outcome: Outcome;

  constructor(fields: CallFields, binder: Caller, outcome: Outcome) {
    super(fields);
    this.binder = binder;
    this.#outcome = outcome;
  }

  /** Whether no call that is sent to `silo` now can come there before this one. */
  isAheadAt(silo: NodeAddress): boolean {
    return this.sentTo === silo && (this.hops === 0 || this.landed);
  }

  expire(): void {
    this.#outcome.expired(this);
  }

  resolve(value: unknown): void {
    this.#outcome.resolve(value);
  }

  reject(error: unknown): void {
    this.#outcome.reject(error);
  }

  /** An item of a stream from this node itself. */
  push(value: unknown): void {
    this.#outcome.push(value);
  }
}

/** Where a call's outcome goes. */
export interface Outcome {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  push(value: unknown): void;
  expired(call: PendingCall): void;
}

/** The outcome of a call that is awaited. */
export class CallOutcome implements Outcome {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly expired: (call: PendingCall) => void;

  constructor(
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
    expired: (call: PendingCall) => void,
  ) {
    this.resolve = resolve;
    this.reject = reject;
    this.expired = expired;
  }

  push(): void {}
}
