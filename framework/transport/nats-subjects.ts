import type { NodeAddress } from '../identity/silo-address.ts';
import type { Lane } from './transport.ts';

/**
 * Every subject that a cluster uses, for one of its nodes. Only what NATS itself must see is in a subject:
 * who gets a message. Grain types and keys are in payloads, so any key works; the plain door is the
 * exception, and percent-encodes them.
 *
 * Plain concatenation on purpose: `publish` flattens and encodes the text anyway, and a cache per target
 * measured no faster.
 */
export class Subjects {
  /** To every node, on the control connection. */
  readonly all: string;
  /** To one silo that serves (queue group), on the control connection. */
  readonly any: string;
  /** The plain door (queue group), on the data connection. */
  readonly calls: string;
  readonly #address: NodeAddress;
  readonly #prefix: string;
  readonly #callPrefixLength: number;
  readonly #nodes: Record<Lane, string>;
  readonly #returns: Record<Lane, string>;

  constructor(cluster: string, address: NodeAddress) {
    this.#address = address;
    this.#prefix = `granary.${cluster}.`;
    this.all = `${this.#prefix}all`;
    this.any = `${this.#prefix}any`;
    this.calls = `${this.#prefix}call.>`;
    this.#callPrefixLength = this.calls.length - 1;
    this.#nodes = { data: `${this.#prefix}data.`, control: `${this.#prefix}control.` };
    this.#returns = { data: this.#returnsOf('data'), control: this.#returnsOf('control') };
  }

  #returnsOf(lane: Lane): string {
    return `${this.#prefix}return.${lane}.${this.#address}.`;
  }

  /** Where a node listens. */
  node(lane: Lane, address: NodeAddress): string {
    return this.#nodes[lane] + address;
  }

  /** Where this node hears that nobody listened. */
  returns(lane: Lane): string {
    return `${this.#returns[lane]}>`;
  }

  /**
   * The reply subject of a message. Nobody ever replies to it: it makes the server answer 503 there when
   * nobody listens at the target, and carries what the sender needs to know then, so that the sender keeps
   * nothing per message.
   */
  return(lane: Lane, to: NodeAddress | undefined, ticket: number): string {
    return `${this.#returns[lane] + (to ?? ANY)}.${ticket}`;
  }

  /** What `return` put into a subject, or undefined if it did not make it. */
  parseReturn(lane: Lane, subject: string): { to: NodeAddress | undefined; ticket: number } | undefined {
    const tokens = subject.slice(this.#returns[lane].length).split('.');
    const [to, digits] = tokens;
    if (tokens.length !== 2 || !to || !digits || !/^[1-9]\d{0,15}$/.test(digits)) return undefined;
    return { to: to === ANY ? undefined : to, ticket: Number(digits) };
  }

  /** The tokens of a plain call's subject after `granary.<cluster>.call.`. */
  callTokens(subject: string): string[] {
    return subject.slice(this.#callPrefixLength).split('.');
  }
}

/** In place of an address, which cannot have a `$`. */
const ANY = '$any';
/** All silos share one queue group, so that each plain call and each `sendToAnySilo` reaches one of them. */
export const QUEUE = 'silos';
