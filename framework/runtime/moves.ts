import type { Directory } from '../directory/directory.ts';
import type { GrainType } from '../grain/grain-type.ts';
import { type GrainId, typeOf } from '../identity/grain-id.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { Call } from '../rpc/call.ts';
import { isCount } from '../rpc/frames.ts';
import type { Node } from '../rpc/node.ts';
import type { Timer } from '../system/clock.ts';
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
  /** Where the activation is that has won against this one, if one has. */
  winnerOver(activation: Activation): NodeAddress | undefined;
  activate(type: GrainType, id: GrainId, partition: number, luggage: Luggage | undefined): void;
  dispatch(call: Call): void;
}

/** Where an activation that takes no turn any more wants to go on. */
export interface Destination {
  /** The name of a silo; undefined: wherever the grain's placement puts it. */
  readonly to: string | undefined;
  /** Somebody chose that silo: the grain is not to be moved from there to where the ring puts it. */
  readonly stays: boolean;
}

export interface Journey extends Destination {
  /** What goes along. */
  readonly contents: Uint8Array | undefined;
}

/** What the silo that decides says: it goes on elsewhere, or where it was, or not now. */
type Verdict = 'elsewhere' | 'here' | 'notNow';

/** How long a move may take, with all that the cluster does meanwhile, and how soon it is tried again. */
const MOVE_MS = 10_000;
const AGAIN_MS = 50;
/** Activations that pack at a time: nobody knows before how much that will be. */
const PACKING = 32;

/**
 * Activations that move to another silo with what they have in memory.
 *
 * Nobody but the primary of its partition decides where a grain is active, also when it moves. An
 * activation that has taken its last turn stays in the catalog, where calls wait for its end, and asks the
 * primary to have it go on elsewhere; so long it is the grain's place, also for a silo that becomes primary
 * meanwhile, and asks that one anew. The primary orders the new activation, and answers when that is there:
 * only then the old one goes, and what has waited follows. Meanwhile the primary does not count the two as
 * contenders.
 *
 * If it does not come about in time, what was in memory is lost and nothing else: the grain begins anew at
 * its next call, from its store.
 */
export class Moves {
  readonly #options: MovesOptions;
  readonly #office: LuggageOffice;
  readonly #leaving = new Set<Activation>();
  /** What this silo is deciding for others: asked again, it gives the same answer. */
  readonly #deciding = new Map<GrainId, Promise<Verdict>>();
  readonly #sleepers = new Map<Activation, () => void>();
  /** Activations that may not pack before others have moved. */
  readonly #queue: (() => void)[] = [];
  #packing = 0;
  #underWay = 0;
  #stopped = false;

  /** Called when nothing is under way from here any more. */
  onIdle: () => void = () => {};

  constructor(options: MovesOptions) {
    this.#options = options;
    const { address, clock, control } = options.node;
    this.#office = new LuggageOffice(address, clock, control);
    this.#office.onFetched = () => this.#goAhead();
    control.on('place', (from, body) => this.#asked(from, body));
  }

  /** Grains that are under way from here. */
  get size(): number {
    return this.#leaving.size + this.#office.size;
  }

  /** Whether it has taken its last turn and waits for its successor elsewhere. */
  isLeaving(activation: Activation): boolean {
    return this.#leaving.has(activation);
  }

  fetch(luggage: Luggage): Promise<Uint8Array> {
    return this.#office.fetch(luggage);
  }

  /** The activation takes no turn any more, and wants to go on elsewhere. */
  async depart(activation: Activation): Promise<void> {
    this.#leaving.add(activation);
    await new Promise<void>((resolve) => {
      this.#queue.push(resolve);
      this.#goAhead();
    });
    const journey = this.#stopped ? undefined : await activation.packUp();
    this.#packing--;
    if (journey) {
      this.#goAhead();
      await this.#travel(activation, journey);
    }
    this.#conclude(activation);
    this.#underWay--;
    this.#goAhead();
  }

  /** As many pack as there is room for what they take along. */
  #goAhead(): void {
    while (this.#queue.length > 0) {
      const mayPack = this.#packing < PACKING && this.#underWay < LIMITS.moves && this.#office.hasRoom;
      if (!mayPack && !this.#stopped) return;
      this.#packing++;
      this.#underWay++;
      this.#queue.shift()?.();
    }
    if (this.size === 0) this.onIdle();
  }

  async #travel(activation: Activation, { to, stays, contents }: Journey): Promise<void> {
    const { node, winnerOver } = this.#options;
    const number = contents ? this.#office.keep(contents) : 0;
    const luggage: Luggage = [node.address, number, stays];
    const verdict = await this.#goOn(activation, to, luggage);
    if (verdict === 'here') this.#conclude(activation, [node.address, number, false]);
    if (verdict !== 'notNow') return this.#office.left(number);
    this.#office.drop(number);
    if (number === 0 || this.#stopped) return;
    const reason = winnerOver(activation) ? 'another activation has won' : 'no silo has taken it in time';
    node.events.publish({ type: 'luggageLost', grain: activation.id, reason });
  }

  /** Something has changed that may end the waiting: another era, or a loss against another activation. */
  wake(activation?: Activation): void {
    if (activation) this.#sleepers.get(activation)?.();
    else for (const wakeUp of [...this.#sleepers.values()]) wakeUp();
  }

  stop(): void {
    this.#stopped = true;
    this.#office.stop();
    this.#goAhead();
    this.wake();
  }

  /** Asks whoever decides, until there is an answer. Never rejects. */
  async #goOn(activation: Activation, to: string | undefined, luggage: Luggage): Promise<Verdict> {
    const { node, directory, winnerOver } = this.#options;
    const deadline = node.clock.now() + MOVE_MS;
    let isElsewhere = false;
    while (!this.#stopped && !winnerOver(activation) && node.clock.now() < deadline) {
      const primary = directory.primary(activation.partition);
      if (primary === undefined) break;
      const { era } = directory;
      const asked = this.#ask(primary, activation, to, luggage);
      // Also the answer of one that is primary no more: what it had ordered may be there.
      void asked.then((verdict) => {
        if (verdict !== 'elsewhere') return;
        isElsewhere = true;
        this.wake(activation);
      });
      const verdict = await this.#orWoken(activation, asked);
      if (isElsewhere) return 'elsewhere';
      if (verdict === 'here' && directory.era === era) return verdict;
      if (verdict === 'notNow') await this.#orWoken(activation);
      if (isElsewhere) return 'elsewhere';
    }
    return 'notNow';
  }

  #ask(
    primary: NodeAddress,
    activation: Activation,
    to: string | undefined,
    luggage: Luggage,
  ): Promise<unknown> {
    const { node, directory } = this.#options;
    const { id, partition, activationId } = activation;
    if (primary === node.address)
      return this.#decide(activation, to, luggage, () => this.#conclude(activation));
    const body = [id, activationId, directory.era.id, to ?? null, luggage, directory.lastDot(partition)];
    return node.control.request(primary, 'place', body, ORDER_MS).catch(() => 'notNow');
  }

  /** The answer; undefined when something changes before it comes, or soon if none is to come. */
  #orWoken(activation: Activation, answer?: Promise<unknown>): Promise<unknown> {
    return new Promise((resolve) => {
      let timer: Timer | undefined;
      const wakeUp = (value?: unknown) => {
        if (this.#sleepers.get(activation) === wakeUp) this.#sleepers.delete(activation);
        timer?.cancel();
        resolve(value);
      };
      this.#sleepers.set(activation, wakeUp);
      if (answer) answer.then(wakeUp);
      else timer = this.#options.node.clock.after(AGAIN_MS, () => wakeUp());
    });
  }

  /** It is gone from here; what has waited goes where it is now. May go on here itself, as ordered. */
  #conclude(activation: Activation, here?: Luggage): void {
    if (!this.#leaving.delete(activation) || activation.state === 'gone') return;
    const { catalog, directory, activate, dispatch, winnerOver } = this.#options;
    const { type, id, partition } = activation;
    const waiting = activation.end();
    catalog.remove(activation);
    directory.gone(partition, activation, winnerOver(activation));
    if (here && !this.#stopped) activate(type, id, partition, here);
    for (const call of waiting) dispatch(call);
  }

  // ---- deciding

  /** Another silo's activation wants to go on elsewhere. */
  #asked(from: NodeAddress, body: unknown): Verdict | Promise<Verdict> {
    const { directory, catalog, node } = this.#options;
    const [id, activationId, era, to, luggage, lastDot] = Array.isArray(body) ? body : [];
    const parsed = parseLuggage(luggage);
    if (typeof id !== 'string' || typeof activationId !== 'string' || !isCount(lastDot) || !parsed)
      return 'notNow';
    const partition = directory.partitionOf(id);
    if (era !== directory.era.id || directory.primary(partition) !== node.address) return 'notNow';
    const deciding = this.#deciding.get(id);
    if (deciding) return deciding;
    const place = directory.locate(partition, id);
    const here = catalog.find(partition, id);
    if ((place !== undefined && place !== from) || (here && here.state !== 'gone')) return 'elsewhere';
    // One whose entry is gone is gone itself: this is a late word of it.
    if (!directory.hasEntry(partition, from, { id, activationId })) return 'notNow';
    const name = typeof to === 'string' ? to : undefined;
    const leave = () => directory.retract(partition, id, from, lastDot);
    const verdict = this.#decide({ id, partition, activationId }, name, parsed, leave);
    this.#deciding.set(id, verdict);
    return verdict.finally(() => this.#deciding.delete(id));
  }

  /** This silo is the primary. `leave`: the old activation is gone, from the directory's point of view. */
  async #decide(
    { id, partition, activationId }: Pick<Activation, 'id' | 'partition' | 'activationId'>,
    to: string | undefined,
    given: Luggage,
    leave: () => void,
  ): Promise<Verdict> {
    const { directory, orders, placer, node, grainType, activate } = this.#options;
    if (!directory.isOpen(partition) || orders.waitingFor(id)) return 'notNow';
    const type = grainType(typeOf(id));
    const named = to === undefined ? undefined : placer.find(to, id);
    const [from, number, stays] = given;
    let silo = named;
    try {
      silo ??= placer.choose(type, id, partition, from);
    } catch {
      return 'notNow'; // the next call is told why
    }
    if (silo === from) return 'here';
    const luggage: Luggage = [from, number, stays && named !== undefined];
    if (silo === node.address) {
      leave();
      activate(type as GrainType, id, partition, luggage);
      return 'elsewhere';
    }
    directory.replaces(id, activationId);
    const followed = await orders.give(id, partition, silo, [], luggage, leave);
    directory.hasReplaced(id);
    return followed ? 'elsewhere' : 'notNow';
  }
}
