import type { Directory } from '../directory/directory.ts';
import type { GrainType } from '../grain/grain-type.ts';
import { type GrainId, typeOf } from '../identity/grain-id.ts';
import { type NodeAddress, nodeName } from '../identity/silo-address.ts';
import type { Call } from '../rpc/call.ts';
import { isCount } from '../rpc/frames.ts';
import type { Node } from '../rpc/node.ts';
import type { Outbound } from '../rpc/outbound.ts';
import { ReceivedFrames } from '../rpc/received-frames.ts';
import { sleep } from '../system/clock.ts';
import type { Catalog } from './catalog.ts';
import { type Luggage, parseLuggage } from './luggage.ts';

export interface OrdersOptions {
  readonly node: Node;
  readonly outbound: Outbound;
  readonly directory: Directory;
  readonly catalog: Catalog;
  grainType(name: string): GrainType | undefined;
  activate(type: GrainType, id: GrainId, partition: number, luggage: Luggage | undefined): void;
  dispatch(call: Call): void;
}

/** How long a silo may take to follow an order to activate, and how soon a refused one is looked at again. */
export const ORDER_MS = 2_000;
const REFUSED_MS = 50;
const NO_ANSWER = Symbol('no answer');

/**
 * Activating on another silo than the one that decides: the primary of a grain's partition orders it, and
 * calls to the grain wait here until the order has been followed. An order counts in its era only, and is
 * followed once: what it made may have ended when it comes again, and the grain be active elsewhere by then.
 */
export class Orders {
  readonly #options: OrdersOptions;
  readonly #waiting = new Map<GrainId, Call[]>();
  readonly #received = new ReceivedFrames();
  #last = 0;

  constructor(options: OrdersOptions) {
    this.#options = options;
    options.node.control.on('activate', (from, body) => this.#follow(from, body));
  }

  /** Grains that are being activated elsewhere. */
  get size(): number {
    return this.#waiting.size;
  }

  /** The calls that wait until a grain has been activated elsewhere; undefined when none is to be. */
  waitingFor(id: GrainId): Call[] | undefined {
    return this.#waiting.get(id);
  }

  /**
   * Has a grain activated on a silo; `waiting` and who comes later wait for that. Resolves to whether it has
   * been; `leave` is called just before that is taken in, when the grain leaves another place for it.
   */
  async give(
    target: GrainId,
    partition: number,
    silo: NodeAddress,
    waiting: Call[],
    luggage?: Luggage,
    leave: () => void = () => {},
  ): Promise<boolean> {
    const { directory, outbound, dispatch } = this.#options;
    const { control, clock } = this.#options.node;
    this.#waiting.set(target, waiting);
    const era = directory.era;
    directory.placedAt(silo);
    const order = [target, era.id, ++this.#last, ...(luggage ? [luggage] : [])];
    const ask = () => control.request(silo, 'activate', order, ORDER_MS);
    let delta = await ask().catch(() => NO_ANSWER);
    // It may have followed: another silo must not be asked while it may.
    while (delta === NO_ANSWER && directory.era === era && !outbound.stopped) {
      await sleep(clock, REFUSED_MS);
      delta = await ask().catch(() => NO_ANSWER);
    }
    const followed = delta !== NO_ANSWER && Boolean(delta);
    if (followed) {
      leave();
      directory.learn(partition, delta, silo);
    }
    const again = () => {
      if (this.#waiting.get(target) !== waiting) return;
      this.#waiting.delete(target);
      for (const each of waiting) dispatch(each);
    };
    // Refused: the silo is in another era, which this one will hear of; or it is gone, which this one will
    // notice.
    if (followed || directory.era !== era) again();
    else clock.after(REFUSED_MS, again);
    return followed;
  }

  /**
   * Calls that wait for an order go to the silo that decides for their grain now, if it is another: this one
   * may be gone before its order is answered. Who followed the order tells the new one.
   */
  enterEra(): void {
    const { directory, node, dispatch } = this.#options;
    for (const [target, waiting] of [...this.#waiting]) {
      if (directory.primary(directory.partitionOf(target)) === node.address) continue;
      this.#waiting.delete(target);
      for (const call of waiting) dispatch(call);
    }
  }

  /**
   * Another silo, the primary, orders an activation here. Only within one era: what it knew in another may be
   * wrong by now.
   */
  #follow(from: NodeAddress, body: unknown): unknown {
    const { directory, catalog, node, grainType, activate } = this.#options;
    const [id, era, order, luggage] = Array.isArray(body) ? body : [];
    if (typeof id !== 'string' || !isCount(order)) return undefined;
    const isNew = this.#received.take(from, order); // also one that is refused now
    if (era !== directory.era.id || !directory.era.entry(nodeName(node.address))) return undefined;
    const type = grainType(typeOf(id));
    const partition = directory.partitionOf(id);
    if (!type || directory.primary(partition) !== from) return undefined;
    const present = catalog.find(partition, id);
    if (isNew && (!present || present.state === 'gone')) activate(type, id, partition, parseLuggage(luggage));
    return directory.entryOf(partition, id);
  }
}
