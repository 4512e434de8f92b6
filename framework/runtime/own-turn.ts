import type { MethodSpec } from '../grain/grain-type.ts';
import type { GrainId } from '../identity/grain-id.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { Call, type Replies } from '../rpc/call.ts';

export interface OwnTurnOptions {
  readonly target: GrainId;
  /** What events call it: `$timer.<name>`, say. */
  readonly method: string;
  /** Runs at once, between the awaits of whatever runs already. */
  readonly interleave: boolean;
  /** Does not count as use: an activation that only has such turns is idle. */
  readonly background?: boolean;
  readonly work: () => unknown;
}

/** Makes the turns that one silo's runtime wants. */
export class OwnTurns {
  readonly #silo: NodeAddress;
  /** Numbers of the runtime's own calls, below those of `PendingCalls`, which count from 1 upwards. */
  #lastId = 0;

  constructor(silo: NodeAddress) {
    this.#silo = silo;
  }

  make(options: OwnTurnOptions): OwnTurn {
    return new OwnTurn(this.#silo, --this.#lastId, options);
  }
}

/**
 * A turn that an activation takes because the runtime wants it, not because anybody called: it waits in the
 * mailbox like any call, as long as it must, but its work is a function, and it is void when the activation
 * ends before it began.
 */
export class OwnTurn extends Call {
  readonly background: boolean;
  /** Resolves when it has run; rejects with what it threw, or `OverloadedError`. Neither if it is void. */
  readonly ended: Promise<unknown>;

  constructor(silo: NodeAddress, id: number, options: OwnTurnOptions) {
    const { target, method, interleave, background = false, work } = options;
    const outcome = new Settling();
    super(silo, id, target, method, [], Number.POSITIVE_INFINITY, outcome);
    this.work = work;
    this.spec = specOf(method, interleave);
    this.mode = interleave ? 'interleave' : 'exclusive';
    this.background = background;
    this.ended = outcome.promise;
  }
}

/** Whether a call counts as use of its activation. */
export function isUse(call: Call): boolean {
  return call.extras === undefined || call.work === undefined || !(call as OwnTurn).background;
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
