import { typeOf } from '../../identity/grain-id.ts';
import type { NodeAddress } from '../../identity/silo-address.ts';
import type { Invariant } from './invariant.ts';
import type { Observation } from './observation.ts';

export interface SingleActivationOptions {
  /** Names of the grain types that are stateless workers, which may be active several times. */
  readonly workerTypes: readonly string[];
  /** How long a disturbance may still have effects when it is over, in milliseconds. */
  readonly graceMs: number;
  /**
   * How long a silo that stops waits for a turn, in milliseconds. One that takes longer is given up, and may
   * be overlapped.
   */
  readonly drainMs: number;
}

interface Activation {
  readonly node: NodeAddress;
  /** In which time of order it took its latest turn. */
  order: number;
  /** Turns that run, and when the first of them began. */
  running: number;
  runsSince: number;
}

const DISORDER = Number.POSITIVE_INFINITY;

/**
 * Guarantee 2: while the cluster is in order, no turn of a grain starts beside another activation of it that
 * has taken a turn in the same time of order and is not gone.
 *
 * It is in order when the network is whole and all silos agree; and it stays so, agreed or not, while silos
 * only join and leave. A cut, a crash or a pause ends it, until all agree again and the effects of it are
 * over: who had begun to suspect a silo may give it up when the network is whole again. So what a split has
 * made double counts only when both take turns after the heal was agreed on; what a join or a leave makes
 * double counts always.
 */
export class SingleActivation implements Invariant {
  readonly name = 'single activation';
  readonly #options: SingleActivationOptions;
  readonly #grains = new Map<string, Map<string, Activation>>();
  #whole = true;
  #agreed = false;
  /** In a whole network all silos have agreed, and since then only joined and left. */
  #calm = false;
  /** When the effects of the last disturbance are over. */
  #quietAt = Number.NEGATIVE_INFINITY;
  /** When the cluster came, or will come, to be in order. Names this time of order, too. */
  #order = DISORDER;

  constructor(options: SingleActivationOptions) {
    this.#options = options;
  }

  observe({ at, node, event }: Observation): string | undefined {
    switch (event.type) {
      case 'turnStarted':
        return this.#started(at, node, event.grain, event.activationId, event.method);
      case 'turnEnded': {
        const activation = this.#grains.get(event.grain)?.get(event.activationId);
        if (activation && activation.running > 0) activation.running--;
        return undefined;
      }
      case 'activationGone':
        this.#forget(event.grain, event.activationId);
        return undefined;
      case 'networkChanged':
        if (event.whole === this.#whole) return undefined;
        this.#whole = event.whole;
        return void this.#disturbed(at);
      case 'agreementChanged':
        return void this.#agreementChanged(at, event.agreed);
      case 'nodePaused':
      case 'nodeResumed':
        return void this.#disturbed(at);
      case 'nodeCrashed':
      case 'siloReplaced':
        this.#ended(node);
        return void this.#disturbed(at);
      case 'siloStopped':
        this.#ended(node);
        return undefined;
      default:
        return undefined;
    }
  }

  finish(): readonly string[] {
    return [];
  }

  /** What was set off before may have effects for a while. */
  #disturbed(at: number): void {
    this.#quietAt = at + this.#options.graceMs;
    this.#calm = this.#agreed && this.#whole;
    this.#order = DISORDER;
    this.#reorder(at);
  }

  #agreementChanged(at: number, agreed: boolean): void {
    this.#agreed = agreed;
    if (agreed) this.#calm = this.#whole;
    else if (at < this.#quietAt) this.#calm = false; // by what had happened before, it seems
    this.#reorder(at);
  }

  #reorder(at: number): void {
    if (!this.#calm) this.#order = DISORDER;
    else if (this.#order === DISORDER) this.#order = Math.max(at, this.#quietAt);
  }

  #started(at: number, node: NodeAddress, grain: string, id: string, method: string): string | undefined {
    if (this.#options.workerTypes.includes(typeOf(grain))) return undefined;
    let activations = this.#grains.get(grain);
    if (!activations) {
      activations = new Map();
      this.#grains.set(grain, activations);
    }
    let own = activations.get(id);
    if (!own) {
      own = { node, order: DISORDER, running: 0, runsSince: at };
      activations.set(id, own);
    }
    if (own.running++ === 0) own.runsSince = at;
    if (at < this.#order) return undefined;
    own.order = this.#order;
    if (activations.size === 1) return undefined;
    for (const [other, rival] of activations) {
      if (rival === own || rival.order !== this.#order || this.#isGivenUp(rival, at)) continue;
      const doing = rival.running > 0 ? 'runs a turn' : 'has taken turns and is not gone';
      const which = `activation ${id} on ${node} while ${other} on ${rival.node}`;
      return `${grain}: ${method} started in ${which} ${doing}`;
    }
    return undefined;
  }

  #isGivenUp(activation: Activation, at: number): boolean {
    return activation.running > 0 && at - activation.runsSince >= this.#options.drainMs;
  }

  #forget(grain: string, id: string): void {
    const activations = this.#grains.get(grain);
    if (activations?.delete(id) && activations.size === 0) this.#grains.delete(grain);
  }

  #ended(node: NodeAddress): void {
    for (const [grain, activations] of this.#grains) {
      for (const [id, activation] of activations) if (activation.node === node) this.#forget(grain, id);
    }
  }
}
