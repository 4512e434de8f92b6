import type { Directory } from '../directory/directory.ts';
import type { GrainType } from '../grain/grain-type.ts';
import { type GrainId, typeOf } from '../identity/grain-id.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Call } from '../rpc/call.ts';
import { isCount } from '../rpc/frames.ts';
import type { Node } from '../rpc/node.ts';
import { ReceivedFrames } from '../rpc/received-frames.ts';
import type { Activation } from './activation.ts';
import type { Catalog } from './catalog.ts';
import { type Luggage, LuggageOffice, parseLuggage } from './luggage.ts';
import { ORDER_MS, type Orders } from './orders.ts';
import type { Placer } from './placer.ts';

export interface MovesOptions {
  readonly node: Node;
  readonly directory: Directory;
  readonly catalog: Catalog;
  readonly orders: Orders;
  readonly placer: Placer;
  grainType(name: string): GrainType | undefined;
  activate(type: GrainType, id: GrainId, partition: number, luggage: Luggage | undefined): void;
  dispatch(call: Call): void;
}

/** Where an activation that has just ended wants to go on, and with what. */
export interface Journey {
  /** The name of a silo; undefined: wherever the grain's placement puts it. */
  readonly to: string | undefined;
  readonly contents: Uint8Array | undefined;
}

/** So often the primary is told where an activation wants to go, while nothing else changes. */
const ATTEMPTS = 3;
const NO_ANSWER = Symbol('no answer');

/**
 * Activations that move to another silo with what they have in memory.
 *
 * Nobody but the primary of its partition decides where a grain is active, also when it moves. So a move is
 * an end and a beginning: the activation ends here, then its silo tells the primary, in one message, that its
 * entry is gone and where it wants to go on. The primary believes that only while it still has the entry: a
 * message that comes late, after the grain has begun anew, finds none. From then on calls wait there for the
 * new activation, as for any that is ordered elsewhere; and until then those that come here wait here, so
 * that none overtakes.
 *
 * If anything fails in between, what was in memory is lost and nothing else: the grain begins anew at its
 * next call, from its store.
 */
export class Moves {
  readonly #options: MovesOptions;
  readonly #office: LuggageOffice;
  /** Calls to grains whose primary does not know yet that they have left. */
  readonly #held = new Map<GrainId, Call[]>();
  readonly #received = new ReceivedFrames();
  #last = 0;

  /** Called when nothing is under way from here any more. */
  onIdle: () => void = () => {};

  constructor(options: MovesOptions) {
    this.#options = options;
    const { address, clock, control } = options.node;
    this.#office = new LuggageOffice(address, clock, control);
    this.#office.onFetched = () => this.#tellIfIdle();
    control.on('place', (from, body) => this.#asked(from, body));
  }

  /** Grains that are under way from here. */
  get size(): number {
    return this.#held.size + this.#office.size;
  }

  /** Keeps a call whose grain is just leaving; false when it is not, or too many wait. */
  hold(call: Call): boolean {
    const held = this.#held.size > 0 ? this.#held.get(call.target) : undefined;
    if (!held || held.length >= LIMITS.mailbox) return false;
    held.push(call);
    return true;
  }

  fetch(luggage: Luggage): Promise<Uint8Array> {
    return this.#office.fetch(luggage);
  }

  /** The activation has ended, and is in the catalog no more; `waiting` are the calls that it leaves. */
  depart(activation: Activation, waiting: Call[], { to, contents }: Journey): void {
    const { id } = activation;
    const number = contents ? this.#office.keep(contents) : 0;
    if (contents && number === 0) this.#lost(activation.id, 'too much is under way from here already');
    this.#held.set(id, waiting);
    this.#place(activation, to, [this.#options.node.address, number, to !== undefined]).then((followed) => {
      if (!followed) this.#office.drop(number);
      this.#release(id, waiting);
      this.#tellIfIdle();
    });
  }

  /** Who decides for a grain that is leaving may be another silo now: that one does not know of the move. */
  enterEra(): void {
    for (const [id, waiting] of [...this.#held]) this.#release(id, waiting);
  }

  stop(): void {
    this.#office.stop();
  }

  #release(id: GrainId, waiting: Call[]): void {
    if (this.#held.get(id) !== waiting) return;
    this.#held.delete(id);
    for (const call of waiting) this.#options.dispatch(call);
  }

  #tellIfIdle(): void {
    if (this.size === 0) this.onIdle();
  }

  /** Tells the primary. Whether the grain goes on with its luggage, as far as is known; never rejects. */
  async #place(activation: Activation, to: string | undefined, luggage: Luggage): Promise<boolean> {
    const { directory, node } = this.#options;
    const { id, partition, activationId } = activation;
    const { era } = directory;
    const primary = directory.primary(partition);
    const delta = directory.withdraw(partition, activation, primary);
    if (primary === undefined) return false;
    if (primary === node.address) return this.#decide(id, partition, to, luggage);
    const body = [id, activationId, era.id, ++this.#last, to ?? null, luggage, delta ?? null];
    for (let attempt = 0; attempt < ATTEMPTS && directory.era === era; attempt++) {
      const answer = await node.control.request(primary, 'place', body, ORDER_MS).catch(() => NO_ANSWER);
      if (answer !== NO_ANSWER) return answer === true;
    }
    return false;
  }

  /** Another silo's activation has ended, and wants to go on elsewhere. */
  #asked(from: NodeAddress, body: unknown): boolean {
    const { directory, node } = this.#options;
    const [id, activationId, era, number, to, luggage, delta] = Array.isArray(body) ? body : [];
    if (typeof id !== 'string' || typeof activationId !== 'string' || !isCount(number)) return false;
    if (!this.#received.take(from, number)) return true; // it has been followed, if it could be
    const partition = directory.partitionOf(id);
    const wasThere = directory.hasEntry(partition, from, { id, activationId });
    if (delta) directory.learn(partition, delta, from);
    const decides = era === directory.era.id && directory.primary(partition) === node.address;
    const parsed = parseLuggage(luggage);
    if (!decides || !wasThere || !parsed) return false;
    return this.#decide(id, partition, typeof to === 'string' ? to : undefined, parsed);
  }

  /** This silo is the primary. False when the grain cannot go on now: it begins anew at its next call. */
  #decide(id: GrainId, partition: number, to: string | undefined, luggage: Luggage): boolean {
    const { directory, catalog, orders, placer, node, grainType, activate } = this.#options;
    const present = catalog.find(partition, id);
    if (!directory.isOpen(partition) || (present && present.state !== 'gone')) return false;
    if (orders.waitingFor(id) || directory.locate(partition, id) !== undefined) return false;
    const type = grainType(typeOf(id));
    let silo = to === undefined ? undefined : placer.find(to, id);
    try {
      silo ??= placer.choose(type, id, partition, luggage[0]);
    } catch {
      return false; // the next call is told why
    }
    if (silo === node.address) activate(type as GrainType, id, partition, luggage);
    else void orders.give(id, partition, silo, [], luggage);
    return true;
  }

  #lost(grain: GrainId, reason: string): void {
    this.#options.node.events.publish({ type: 'luggageLost', grain, reason });
  }
}
