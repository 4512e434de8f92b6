import type { NodeAddress } from '../../identity/silo-address.ts';
import type { RuntimeEvent } from '../../observability/events.ts';
import type { Invariant } from './invariant.ts';
import type { Observation, WorldEvent } from './observation.ts';

type Written = Extract<RuntimeEvent, { type: 'recordRead' | 'recordSaved' | 'recordCleared' }>;
type Applied = Extract<WorldEvent, { type: 'recordApplied' }>;

export interface SavesOptions {
  /** Whether the history has what the stores did, not only what activations heard of it. */
  readonly storesTell: boolean;
}

/**
 * Etags of a record that are remembered beside the present one: writes whose acknowledgement has not arrived.
 * Most lost theirs, and such a writer ends. So more than a few between a write and its own acknowledgement
 * cannot be.
 */
const REMEMBERED = 64;

/** What the store did to one record. */
interface Chain {
  known: boolean;
  etag: string | undefined;
  /** When that came to be. */
  since: number;
  /** Writes not acknowledged yet: what each made, and what it was made over. */
  readonly unheard: Map<string, string | undefined>;
  /** What acknowledged writes were made over; kept when the stores do not tell. */
  readonly replaced: Set<string>;
}

interface Life {
  readonly node: NodeAddress;
  readonly createdAt: number;
  /** The etag that the activation has of each record; absent before it has read it. */
  readonly held: Map<string, string | undefined>;
}

/**
 * Guarantee 3. The writes of a record are one chain: each is made over the one before. An activation writes
 * over what it read or wrote itself last, and what it is told to be stored was stored, over just that. So an
 * acknowledged write is in the chain, and whoever came after it knew it: it is neither lost nor overwritten
 * unseen. And nobody reads what was replaced before he came to be.
 *
 * An activation that is gone may still hear of a write that no turn waited for; what it holds is not judged.
 */
export class Saves implements Invariant {
  readonly name = 'saves';
  readonly #storesTell: boolean;
  readonly #chains = new Map<string, Chain>();
  readonly #lives = new Map<string, Life>();

  constructor({ storesTell }: SavesOptions) {
    this.#storesTell = storesTell;
  }

  observe({ at, node, event }: Observation): string | undefined {
    switch (event.type) {
      case 'recordApplied':
        return this.#applied(at, node, event);
      case 'recordRead':
        return this.#holds(event, node, true) ?? this.#isStale(event, node);
      case 'recordSaved':
      case 'recordCleared':
        return this.#holds(event, node, false) ?? this.#acknowledged(event, node);
      case 'activationCreated':
        this.#lives.set(event.activationId, { node, createdAt: at, held: new Map() });
        return undefined;
      case 'activationGone':
        this.#lives.delete(event.activationId);
        return undefined;
      case 'nodeCrashed':
      case 'siloStopped':
      case 'siloReplaced':
        for (const [id, life] of this.#lives) if (life.node === node) this.#lives.delete(id);
        return undefined;
      default:
        return undefined;
    }
  }

  finish(): readonly string[] {
    return []; // a chain that never broke holds everything that was acknowledged
  }

  #applied(at: number, node: NodeAddress, event: Applied): string | undefined {
    const { before, etag } = event;
    const chain = this.#chainOf(event);
    // A store may hold records from before the history.
    const broken = chain.known && chain.etag !== before;
    const current = chain.etag;
    chain.known = true;
    chain.etag = etag;
    chain.since = at;
    remember(chain.unheard, etag ?? clearedOver(before), before);
    if (!broken) return undefined;
    const where = `over ${shown(before)}, but held ${shown(current)}`;
    return `${recordOf(event)}: the store took a write of ${node} ${where}`;
  }

  /** Whether the activation had the etag that it says, and what it has now. */
  #holds(event: Written, node: NodeAddress, first: boolean): string | undefined {
    const held = this.#lives.get(event.activationId)?.held;
    if (!held) return undefined;
    const { record, before, etag } = event;
    const had = held.get(record);
    const read = held.has(record);
    held.set(record, etag);
    if (had === before && (first || read)) return undefined;
    const what = read ? `though it held ${shown(had)}` : 'without having read it';
    return `${whose(event, node)} told ${event.type} over ${shown(before)} ${what}`;
  }

  #isStale(event: Written, node: NodeAddress): string | undefined {
    const chain = this.#chains.get(keyOf(event));
    const life = this.#lives.get(event.activationId);
    if (!chain?.known || !life || chain.etag === event.etag || chain.since >= life.createdAt)
      return undefined;
    const stored = `${shown(chain.etag)} was stored before it was created`;
    return `${whose(event, node)} read ${shown(event.etag)}, but ${stored}`;
  }

  #acknowledged(event: Written, node: NodeAddress): string | undefined {
    const { before, etag } = event;
    if (etag === undefined && before === undefined) return undefined; // nothing was there to clear
    const chain = this.#chainOf(event);
    if (!this.#storesTell) return isFork(chain, event, node);
    const key = etag ?? clearedOver(before);
    const over = chain.unheard.get(key);
    if (!chain.unheard.delete(key)) {
      return `${whose(event, node)} was told that ${shown(etag)} is stored, and it never was`;
    }
    if (over === before) return undefined;
    return `${whose(event, node)} held ${shown(before)}, but wrote ${shown(etag)} over ${shown(over)}`;
  }

  #chainOf(event: Written | Applied): Chain {
    const key = keyOf(event);
    let chain = this.#chains.get(key);
    if (!chain) {
      chain = { known: false, etag: undefined, since: 0, unheard: new Map(), replaced: new Set() };
      this.#chains.set(key, chain);
    }
    return chain;
  }
}

/** Without the stores' word: two acknowledged writes over the same one. One of them is lost. */
function isFork({ replaced }: Chain, event: Written, node: NodeAddress): string | undefined {
  const { before } = event;
  if (before === undefined) return undefined; // after a clear there is nothing again
  if (replaced.has(before)) return `${whose(event, node)} is the second one to write over ${before}`;
  replaced.add(before);
  if (replaced.size > REMEMBERED) for (const oldest of replaced) return void replaced.delete(oldest);
  return undefined;
}

function remember(unheard: Chain['unheard'], key: string, before: string | undefined): void {
  unheard.set(key, before);
  if (unheard.size > REMEMBERED) for (const oldest of unheard.keys()) return void unheard.delete(oldest);
}

function keyOf({ grain, record }: { grain: string; record: string }): string {
  return `${grain}\n${record}`;
}

/** A clear makes no etag; what it removed names it. */
function clearedOver(before: string | undefined): string {
  return `cleared\n${before}`;
}

function recordOf({ grain, record }: { grain: string; record: string }): string {
  return `${grain}, record '${record}'`;
}

function whose(event: Written, node: NodeAddress): string {
  return `${recordOf(event)}: activation ${event.activationId} on ${node}`;
}

function shown(etag: string | undefined): string {
  return etag === undefined ? 'nothing' : `etag ${etag}`;
}
