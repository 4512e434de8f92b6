import type { NodeAddress } from '../../identity/silo-address.ts';
import { Answers } from './answers.ts';
import { AtMostOnce } from './at-most-once.ts';
import { CallOrder } from './call-order.ts';
import type { Invariant } from './invariant.ts';
import type { Observation } from './observation.ts';
import { Saves } from './saves.ts';
import { SingleActivation } from './single-activation.ts';
import { Turns } from './turns.ts';

/**
 * What Granary promises (design.md, section 2), as checkers of histories.
 *
 * | guarantee           | checker            | what it would catch                                       |
 * |---------------------|--------------------|-----------------------------------------------------------|
 * | 1 turns             | `Turns`            | turns that overlap, come too early or too late            |
 * | 2 single activation | `SingleActivation` | two activations that take turns in a cluster in order     |
 * | 3 state             | `Saves`            | a write that was lost, or overwritten by one that had not |
 * |                     |                    | seen it; an old state that is read                        |
 * | 4 at most once      | `AtMostOnce`       | a call that ran twice                                     |
 * | 4 order             | `CallOrder`        | a call that was overtaken                                 |
 * | 5 no call outlives  | `Answers`          | a call without an answer, with two, or with a late one    |
 * |   its deadline      |                    |                                                           |
 *
 * Not here: that both sides of a split converge to one activation, that the directory's replicas agree, and
 * that nothing is left when a silo has stopped. Those are about a state, not about a history:
 * `state-checks.ts`. That arguments are copied (guarantee 6), and that answers are right, shows in what
 * grains answer, not in what the runtime tells.
 *
 * The checkers know nothing of the runtime but its events, so a defect of it cannot excuse itself. Each
 * demands what is promised and no more: where a promise depends on the network or the view, the world says
 * when it holds, and what is still on its way is given time (the options). Each is fed every observation as
 * it happens, with a few map accesses, and remembers only what can still matter: live activations, open calls
 * and those ended not long ago, and one entry for each record.
 */
export class Invariants {
  readonly #invariants: readonly Invariant[];
  /** What these tell after their crash did not happen: it is the world's way of stopping them. */
  readonly #crashed = new Set<NodeAddress>();

  constructor(options: Partial<InvariantsOptions> = {}) {
    const all = { ...DEFAULTS, ...options };
    this.#invariants = [
      new Turns(),
      new SingleActivation(all),
      new Saves(all),
      new Answers(all),
      new AtMostOnce(all),
      new CallOrder(all),
    ];
  }

  /**
   * Takes the next observation of the history; returns the first thing that is wrong with it. The history may
   * go on after that, but one violation tends to bring others.
   */
  observe(observation: Observation): Violation | undefined {
    const { at, node, event } = observation;
    // A store still applies what a crashed node has sent.
    if (this.#crashed.has(node) && event.type !== 'recordApplied') return undefined;
    let first: Violation | undefined;
    for (const invariant of this.#invariants) {
      const message = invariant.observe(observation);
      if (message !== undefined) first ??= { invariant: invariant.name, at, message };
    }
    if (event.type === 'nodeCrashed') this.#crashed.add(node);
    return first;
  }

  /** What is wrong when nothing more will happen. */
  finish(at: number): Violation[] {
    return this.#invariants.flatMap((invariant) =>
      invariant.finish(at).map((message) => ({ invariant: invariant.name, at, message })),
    );
  }
}

export interface Violation {
  /** The name of the invariant. */
  readonly invariant: string;
  /** When it was noticed, in the history's milliseconds. */
  readonly at: number;
  readonly message: string;
}

export interface InvariantsOptions {
  /** Names of the grain types that are stateless workers, which may be active several times. */
  readonly workerTypes: readonly string[];
  /**
   * How long a cut, a crash or a pause may still have effects when it is over, in milliseconds: by default
   * longer than a silo takes to give up another.
   */
  readonly graceMs: number;
  /** The silos' option of this name. */
  readonly drainMs: number;
  /** How late a node may notice a deadline, in milliseconds. */
  readonly slackMs: number;
  /** How long a message may be on its way, in milliseconds, and arrive after all. */
  readonly rememberMs: number;
  /**
   * How long after a change of views nodes may still know different ones, in milliseconds: by default longer
   * than a client takes to ask.
   */
  readonly calmMs: number;
  /** Whether the history has what the stores did (`recordApplied`), not only what activations heard of it. */
  readonly storesTell: boolean;
}

const DEFAULTS: InvariantsOptions = Object.freeze({
  workerTypes: [],
  graceMs: 5_000,
  drainMs: 10_000,
  slackMs: 100,
  rememberMs: 30_000,
  calmMs: 6_000,
  storesTell: true,
});
