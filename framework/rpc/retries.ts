import { CallCancelledError, InvalidConfigError } from '../errors.ts';
import type { OutgoingCall } from '../grain/reference.ts';
import type { RetryOptions } from '../grain/retry.ts';
import { LIMITS } from '../limits.ts';
import type { Timer } from '../system/clock.ts';
import { aboutGrain } from './about-grain.ts';
import { takeArguments } from './arguments.ts';
import { publishMadeAgain } from './call-events.ts';
import type { Node } from './node.ts';
import type { CallOrigin } from './outbound.ts';
import type { PendingCall } from './pending-call.ts';

const DELAY_MS = { first: 50, most: 2_000 };

/** A call that has been made once; no `call` when it was refused before it was one. */
export interface Attempt {
  readonly call: PendingCall | undefined;
  readonly promise: Promise<unknown>;
}

export interface RetriesOptions {
  readonly node: Pick<Node, 'clock' | 'random' | 'events'>;
  /** Deadline of calls for which nobody chose one, in milliseconds. */
  readonly callTimeoutMs: number;
  /** Makes a call once. */
  readonly attempt: (outgoing: OutgoingCall, origin: CallOrigin) => Attempt;
}

/** Waits between two attempts. */
interface Pause {
  readonly timer: Timer;
  readonly end: () => void;
}

/**
 * Calls that are made again when they fail, since their caller wants that (`retry`).
 *
 * `SecondAttempts` sees to what a caller need not know: a call that surely did not run, or whose silo is
 * lost. Here it is about calls that were answered, with an error that may pass, and about answers that do not
 * come. So each attempt is a call of its own, which may run although the one before did: the method must
 * allow it. The pauses between them are random between nothing and a limit that doubles ("full jitter",
 * Marc Brooker, Exponential Backoff And Jitter, 2015), which spreads callers that failed together best.
 */
export class Retries {
  readonly #options: RetriesOptions;
  readonly #pauses = new Set<Pause>();
  #stopped = false;

  constructor(options: RetriesOptions) {
    this.#options = options;
  }

  async invoke(outgoing: OutgoingCall, origin: CallOrigin, retry: RetryOptions): Promise<unknown> {
    const { node, attempt } = this.#options;
    const { clock, events } = node;
    if (isOneWay(outgoing) && outgoing.options?.retry === undefined) return attempt(outgoing, origin).promise;
    checkMayRunAgain(outgoing);
    const deadline = this.#deadlineOf(outgoing, origin);
    // For all attempts as they are now, whatever the caller does to its objects in the meantime.
    const args = takeArguments(outgoing.args, (error) => {
      throw aboutGrain(error, outgoing.target);
    });
    const within = { ...origin, deadline };
    for (let attempts = 1; ; attempts++) {
      const { attemptTimeoutMs: timeoutMs = deadline - clock.now() } = retry;
      const options = { ...outgoing.options, timeoutMs };
      const { call, promise } = attempt({ ...outgoing, args: args ?? [], options }, within);
      try {
        return await promise;
      } catch (error) {
        if (
          attempts >= retry.attempts ||
          !mayPass(error) ||
          !(await this.#pause(attempts, retry, deadline, outgoing))
        )
          throw error;
        if (events.active && call) publishMadeAgain(events, call, error);
      }
    }
  }

  /** Ends all pauses: what waits in them fails with what it failed with last. */
  stop(): void {
    this.#stopped = true;
    for (const { end } of this.#pauses) end();
  }

  #deadlineOf({ options, spec }: OutgoingCall, origin: CallOrigin): number {
    const ownMs = options?.timeoutMs ?? spec?.timeoutMs ?? this.#options.callTimeoutMs;
    const own = Math.ceil(
      this.#options.node.clock.now() + Math.min(Math.max(ownMs, 1), LIMITS.callTimeoutMaxMs),
    );
    return Math.min(own, origin.deadline);
  }

  /** Whether there is time for another attempt after it. Throws `CallCancelledError`. */
  async #pause(
    attempts: number,
    retry: RetryOptions,
    deadline: number,
    outgoing: OutgoingCall,
  ): Promise<boolean> {
    const { clock, random } = this.#options.node;
    const { delayMs = DELAY_MS.first, maxDelayMs = DELAY_MS.most } = retry;
    const ms = random.next() * Math.min(delayMs * 2 ** Math.min(attempts - 1, 30), maxDelayMs);
    if (this.#stopped || this.#pauses.size >= LIMITS.pausedCalls || clock.now() + ms > deadline - 1)
      return false;
    const signal = outgoing.options?.signal;
    await new Promise<void>((resolve) => {
      const end = () => {
        pause.timer.cancel();
        this.#pauses.delete(pause);
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const pause = { timer: clock.after(ms, end), end };
      this.#pauses.add(pause);
      signal?.addEventListener('abort', end, { once: true });
      if (signal?.aborted) end();
    });
    if (signal?.aborted) {
      const { target: grain, method } = outgoing;
      const text = `${grain}.${method}: cancelled by its caller, between two attempts`;
      throw new CallCancelledError(text, { grain, cause: signal.reason });
    }
    return !this.#stopped && clock.now() <= deadline - 1;
  }
}

function isOneWay({ options, spec }: OutgoingCall): boolean {
  return options?.oneWay ?? spec?.oneWay ?? false;
}

/** Errors of the user's own say so in the same way as Granary's. */
function mayPass(error: unknown): boolean {
  return error instanceof Error && (error as { retryable?: unknown }).retryable === true;
}

/** Throws `InvalidConfigError`. */
function checkMayRunAgain(outgoing: OutgoingCall): void {
  const { target: grain, method, spec, options } = outgoing;
  const where = `${grain}.${method} cannot be called with retry`;
  if (isOneWay(outgoing)) {
    const text = `${where}: nobody learns the outcome of a one-way call; remove oneWay or retry`;
    throw new InvalidConfigError(text, { grain });
  }
  if (options?.idempotencyKey !== undefined || spec?.repeatable) return;
  const text = spec
    ? `${where}: it may run once only; mark it idempotent or readOnly, or give an idempotencyKey`
    : `${where}: whether it may run twice is not known here, since this process does not have the class; ` +
      'give grain() the class, or the call an idempotencyKey';
  throw new InvalidConfigError(text, { grain });
}

/** Why a stream is not made again: its reader has read some of it. */
export function noRetryOfStream({ target: grain, method }: OutgoingCall): InvalidConfigError {
  const text = `${grain}.${method} is a stream and cannot be called with retry: read it anew`;
  return new InvalidConfigError(text, { grain });
}
