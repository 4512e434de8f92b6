import type { MethodSpec } from '../grain/grain-type.ts';
import type { GrainId } from '../identity/grain-id.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import { Call, type Replies } from '../rpc/call.ts';

export interface OwnTurnOptions {
  readonly silo: NodeAddress;
  readonly target: GrainId;
  /** What events call it: `$timer.<name>`, say. */
  readonly method: string;
  /** Runs at once, between the awaits of whatever runs already. */
  readonly interleave: boolean;
  readonly now: number;
  readonly work: () => unknown;
}

/** Numbers of the runtime's own calls, below those of `PendingCalls`, which count from 1 upwards. */
let lastId = 0;

/**
 * A turn that an activation takes because the runtime wants it, not because anybody called: it waits in the
 * mailbox like any call, but its work is a function, and it is void when the activation ends before it began.
 */
export class OwnTurn extends Call {
  /** Resolves when it has run; rejects with what it threw, or `OverloadedError`. Neither if it is void. */
  readonly ended: Promise<unknown>;

  constructor({ silo, target, method, interleave, now, work }: OwnTurnOptions) {
    const outcome = new Settling();
    super(silo, --lastId, target, method, [], Math.ceil(now) + LIMITS.callTimeoutMaxMs, outcome);
    this.work = work;
    this.spec = specOf(method, interleave);
    this.mode = interleave ? 'interleave' : 'exclusive';
    this.ended = outcome.promise;
  }
}

class Settling implements Replies {
  #resolve: (value: unknown) => void = () => {};
  #reject: (error: unknown) => void = () => {};
  readonly promise = new Promise<unknown>((resolve, reject) => {
    this.#resolve = resolve;
    this.#reject = reject;
  });

  value(_call: Call, value: unknown): void {
    this.#resolve(value);
  }

  error(_call: Call, error: unknown): void {
    this.#reject(error);
  }

  item(): void {}
  moved(): void {}
  notRun(): void {}
}

function specOf(name: string, interleave: boolean): MethodSpec {
  const plain = { readOnly: false, oneWay: false, repeatable: false, stream: false, worker: false };
  return { ...plain, name, member: name, interleave, timeoutMs: undefined };
}
