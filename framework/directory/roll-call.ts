import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { ControlChannel } from '../messaging/control-channel.ts';

/** How far a silo has come with an era. All must have come that far before anybody takes the next step. */
export const STAGES = Object.freeze({
  /** It has entered the era, and whoever keeps what it holds has taken in what it reported. */
  entered: 1,
  /** It knows that all have entered, and everybody whom that costs an activation has heard of it. */
  settled: 2,
});

/** Silos that tell one other in the tree. */
const BRANCHES = 8;

interface Word {
  readonly era: string;
  readonly stage: number;
}

export interface Place {
  readonly parent: NodeAddress | undefined;
  readonly children: readonly NodeAddress[];
}

/** A silo's place in the tree over all silos, a heap by address. One that is not among them stands alone. */
export function placeOf(self: NodeAddress, silos: ReadonlySet<NodeAddress>): Place {
  if (!silos.has(self)) return { parent: undefined, children: [] };
  const order = [...silos].sort();
  const at = order.indexOf(self);
  const first = BRANCHES * at + 1;
  const parent = at === 0 ? undefined : order[Math.floor((at - 1) / BRANCHES)];
  return { parent, children: order.slice(first, first + BRANCHES) };
}

/**
 * Finds out that all silos of an era have come equally far, without everybody telling everybody: that would
 * be a million messages for each silo that comes or goes among a thousand. On a tree that follows from the
 * era alone, each silo tells its parent when it and all below it have reached a stage; when the root knows it
 * of all, the word goes down again. So a stage costs a silo two messages and the time of a few hops.
 *
 * What was lost is said again (`repeat`), upwards only: whoever is told what all have reached long since
 * answers with that. A silo that comes to an era later than its children remembers what they said.
 */
export class RollCall {
  readonly #self: NodeAddress;
  readonly #control: ControlChannel;
  readonly #onAll: (stage: number) => void;
  /** What each silo said last, also of eras that this one has not entered yet. */
  readonly #words = new Map<NodeAddress, Word>();
  #era = '';
  #silos = 0;
  #place: Place = { parent: undefined, children: [] };
  #own = 0;
  #said = 0;
  #all = 0;

  /** `onAll` is called with each stage of the present era that all have reached. */
  constructor(self: NodeAddress, control: ControlChannel, onAll: (stage: number) => void) {
    this.#self = self;
    this.#control = control;
    this.#onAll = onAll;
    control.on('reached', (from, body) => this.#heard(from, parseWord(body)));
    control.on('allReached', (from, body) => {
      const { era, stage } = parseWord(body);
      if (era === this.#era && from === this.#place.parent) this.#complete(stage);
    });
  }

  /** The stage of the present era that all silos have reached. */
  get all(): number {
    return this.#all;
  }

  enter(era: string, silos: ReadonlySet<NodeAddress>): void {
    this.#era = era;
    this.#silos = silos.size;
    this.#place = placeOf(this.#self, silos);
    this.#own = 0;
    this.#said = 0;
    this.#all = 0;
  }

  /** This silo has reached a stage of the present era. */
  reached(stage: number): void {
    if (stage <= this.#own) return;
    this.#own = stage;
    this.#pass();
  }

  /** Says again what may have been lost. */
  repeat(): void {
    if (this.#place.parent !== undefined && this.#said > this.#all) this.#say();
  }

  #heard(from: NodeAddress, word: Word): void {
    const known = this.#words.get(from);
    this.#words.delete(from);
    this.#words.set(from, known?.era === word.era && known.stage > word.stage ? known : word);
    const [oldest] = this.#words.keys();
    if (this.#words.size > this.#silos + LIMITS.departedSilos) this.#words.delete(oldest as NodeAddress);
    if (word.era !== this.#era || !this.#place.children.includes(from)) return;
    if (word.stage <= this.#all) this.#tell(from);
    else this.#pass();
  }

  /** Tells the parent how far this silo and all below it have come, or all, if this is the root. */
  #pass(): void {
    const { parent, children } = this.#place;
    const branch = Math.min(this.#own, ...children.map((child) => this.#stageOf(child)));
    if (parent === undefined) return this.#complete(branch);
    if (branch <= this.#said) return;
    this.#said = branch;
    this.#say();
  }

  #stageOf(silo: NodeAddress): number {
    const word = this.#words.get(silo);
    return word?.era === this.#era ? word.stage : 0;
  }

  #complete(stage: number): void {
    if (stage <= this.#all) return;
    this.#all = stage;
    for (const child of this.#place.children) this.#tell(child);
    this.#onAll(stage);
  }

  #say(): void {
    this.#control.send(this.#place.parent as NodeAddress, 'reached', [this.#era, this.#said]);
  }

  #tell(child: NodeAddress): void {
    this.#control.send(child, 'allReached', [this.#era, this.#all]);
  }
}

function parseWord(body: unknown): Word {
  const [era, stage] = Array.isArray(body) ? body : [];
  const isStage = stage === STAGES.entered || stage === STAGES.settled;
  if (typeof era === 'string' && isStage) return { era, stage };
  throw new Error('malformed word of a roll call');
}
