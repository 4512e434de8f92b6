import type { Caller, OutgoingCall } from '../grain/reference.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { Call, type Replies } from './call.ts';
import type { Expiring } from './deadline-wheel.ts';

/**
 * How far a call is known to have come. Only what was surely not started may be sent again without the
 * method's leave.
 */
export type Progress = 'notSent' | 'sent' | 'local';

/** A call that this node has made and that has not been answered. */
export class PendingCall extends Call implements Expiring<PendingCall> {
  slot = -1;
  before: PendingCall | undefined;
  after: PendingCall | undefined;
  /** Its neighbours among the calls that wait; `PendingCalls` links them. */
  older: PendingCall | undefined;
  newer: PendingCall | undefined;
  progress: Progress = 'notSent';
  /** Who has it, as far as is known. */
  sentTo: NodeAddress | undefined;
  /** When it was sent there, as far as is known, on this node's clock in whole milliseconds. */
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

  constructor(
    { target, method, spec, args }: OutgoingCall,
    caller: NodeAddress,
    id: number,
    deadline: number,
    replies: Replies,
    binder: Caller,
    outcome: Outcome,
  ) {
    super(caller, id, target, method, args, deadline, replies);
    this.spec = spec;
    this.binder = binder;
    this.#outcome = outcome;
  }

  /** Whether it may be sent again though it may have run. */
  get repeatable(): boolean {
    return this.spec?.repeatable === true || this.idempotencyKey !== undefined;
  }

  /** Whether no call that is sent to `silo` now can come there before this one. */
  isAheadAt(silo: NodeAddress): boolean {
    return this.sentTo === silo && (this.hops === 0 || this.landed);
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
}

let resolveNext: (value: unknown) => void;
let rejectNext: (error: unknown) => void;
/** One for all promises: a closure for each would be one more object for each call. */
const capture = (resolve: (value: unknown) => void, reject: (error: unknown) => void): void => {
  resolveNext = resolve;
  rejectNext = reject;
};

/** The outcome of a call that is awaited. */
export class PromisedOutcome implements Outcome {
  readonly promise: Promise<unknown> = new Promise(capture);
  readonly resolve = resolveNext;
  readonly reject = rejectNext;

  push(): void {}
}
