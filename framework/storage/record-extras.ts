import type { StoredFields } from '../grain/options.ts';

/** What few activations have beside fields and etags. */
export class RecordExtras {
  /** By record: stored fields that the class does not have. They are saved again as they are. */
  readonly unknown: (StoredFields | undefined)[] = [];
  /** How often a reload has found what somebody else has written. */
  renewals = 0;
  /** Of calls with idempotency keys, packed. */
  answers: Uint8Array | undefined;
  /** The call with an idempotency key that runs, or the one whose failing ends the activation. */
  keyed: KeyedTurn | undefined;
}

/** A call with an idempotency key that runs: from its beginning until its commit, or for ever if it fails. */
export class KeyedTurn {
  /** The fields as they were before it, packed. */
  readonly before: Uint8Array;
  failed = false;
  #end: () => void = () => {};
  /** Resolves when it is committed, or has failed. */
  readonly ended = new Promise<void>((resolve) => {
    this.#end = resolve;
  });

  constructor(before: Uint8Array) {
    this.before = before;
  }

  end(): void {
    this.#end();
  }
}
