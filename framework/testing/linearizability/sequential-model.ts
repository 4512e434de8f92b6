/** What an operation answered. */
export interface Outcome<O> {
  readonly output: O;
}

/**
 * One operation of a recorded history. An operation that is known not to have run (refused before it was
 * sent, say) is left out of the history: it promises nothing.
 */
export interface Operation<I, O> {
  /** Who asked, for the report. A caller may have several operations under way. */
  readonly caller: string;
  /** Which object. Objects are checked one by one: a history is linearizable if that of each object is. */
  readonly key: string;
  readonly input: I;
  /**
   * In any unit, on one clock for the whole history. What is called at the very time at which something else
   * returns counts as concurrent with it; whoever knows better numbers the events and gives the numbers.
   */
  readonly invokedAt: number;
  /**
   * Undefined when nobody knows how it ended (a timeout, a lost connection): it took effect once at some
   * time after the call, perhaps after all others, or never.
   */
  readonly returned: (Outcome<O> & { readonly at: number }) | undefined;
}

/** A call and its answer without when and who; no outcome means that it is unknown. */
export interface Step<I, O> {
  readonly input: I;
  readonly outcome: Outcome<O> | undefined;
}

/** How an object behaves when one operation runs after the other. States and inputs are never changed. */
export interface SequentialModel<S, I, O> {
  /** For the report: what the object is. */
  readonly name: string;
  readonly initial: S;
  /**
   * The state after the operation; undefined when in this state it cannot have had this outcome. With an
   * unknown outcome, the state after it took effect.
   */
  step(state: S, step: Step<I, O>): { readonly state: S } | undefined;
  /** A primitive that is the same for equal states, and for no others. */
  fingerprint(state: S): string | number | boolean | bigint | null | undefined;
  /**
   * Whether it leaves every state in which it fits as it is. Such operations are ordered for nothing: false
   * is always right, but slow.
   */
  readOnly(step: Step<I, O>): boolean;
  /**
   * Whether it can make a difference to `next` that another operation took effect straight before it: that
   * it fits at all, or what state it leaves. True is always right, but slow where much is unknown or runs at
   * once: false is what lets the checker pass over operations that nobody saw.
   */
  reveals(next: Step<I, O>, before: I): boolean;
  /** As in source code, with the answer: `read() → 3`. */
  describe(step: Step<I, O>): string;
}
