import type { NodeAddress } from '../identity/silo-address.ts';
import type { ControlChannel } from '../messaging/control-channel.ts';

export interface ProbesOptions {
  readonly control: ControlChannel;
  /** How long an answer may take, in milliseconds. */
  readonly probeMs: number;
  /** Who can be asked about a silo. */
  others(silo: NodeAddress): readonly NodeAddress[];
  /** A silo is there. */
  heard(silo: NodeAddress): void;
}

/** Others that are asked about one silo, as in SWIM. */
const WITNESSES = 2;

/**
 * Finds out whether a silo is there: by asking it, and by asking others whether they reach it (the indirect
 * probe of SWIM; Das, Gupta, Motivala 2002). One that only others reach is not gone; what is for it takes the
 * way by one of them. Else each of two silos that cannot reach each other would claim the other gone, all
 * would believe it until it is refuted, and so on for as long as it lasts.
 */
export class Probes {
  readonly #options: ProbesOptions;
  readonly #asking = new Set<NodeAddress>();
  /** Those that have answered since others were asked about them. */
  readonly #answered = new Set<NodeAddress>();
  readonly #seeking = new Map<NodeAddress, Promise<boolean>>();
  /** Those that this silo asks about because another wants to know. */
  readonly #forOthers = new Set<NodeAddress>();
  #turn = 0;

  constructor(options: ProbesOptions) {
    this.#options = options;
    const { control } = options;
    control.on('ping', () => true);
    control.on('seek', async (_from, silo) => {
      if (typeof silo !== 'string') throw new Error('malformed seek');
      this.#forOthers.add(silo);
      const there = await this.isThere(silo);
      this.#forOthers.delete(silo);
      return there;
    });
  }

  /** Whether a silo answers. */
  isThere(silo: NodeAddress): Promise<boolean> {
    const { control, probeMs } = this.#options;
    return control.request(silo, 'ping', null, probeMs).then(
      () => true,
      () => false,
    );
  }

  /** Asks a silo itself. Its answer counts as a heartbeat. */
  ask(silo: NodeAddress): void {
    if (this.#asking.has(silo)) return;
    this.#asking.add(silo);
    void this.isThere(silo).then((there) => {
      this.#asking.delete(silo);
      if (!there) return;
      if (this.#seeking.has(silo)) this.#answered.add(silo);
      this.#options.heard(silo);
    });
  }

  /** Whether others reach a silo. If so, what is for it takes the way by one of them for a while. */
  seek(silo: NodeAddress): Promise<boolean> {
    // It is the other one that will say what comes of it: else all would ask all about one that is gone.
    if (this.#forOthers.has(silo)) return Promise.resolve(true);
    const present = this.#seeking.get(silo);
    if (present) return present;
    const seeking = this.#askOthers(silo).finally(() => this.#seeking.delete(silo));
    this.#seeking.set(silo, seeking);
    return seeking;
  }

  async #askOthers(silo: NodeAddress): Promise<boolean> {
    const { control, probeMs, others, heard } = this.#options;
    this.#answered.delete(silo);
    const present = others(silo);
    const first = this.#turn++ % Math.max(present.length, 1);
    const witnesses = [...present.slice(first), ...present.slice(0, first)].slice(0, WITNESSES);
    const ask = async (witness: NodeAddress) => {
      if ((await control.request(witness, 'seek', silo, 2 * probeMs)) !== true) throw new Error('not there');
      return witness;
    };
    const via = await Promise.any(witnesses.map(ask)).catch(() => undefined);
    if (this.#answered.delete(silo)) return true;
    if (via === undefined) return false;
    control.detour(silo, via);
    heard(silo);
    return true;
  }
}
