import { Grain, grain, method, Silo } from 'granary';
import type { SiloRuntime } from '../../framework/runtime/silo-runtime.ts';
import { runtimeOf } from '../../framework/silo.ts';
import { sleep } from '../../framework/system/clock.ts';
import { Engine } from '../../framework/testing/simulation/engine.ts';
import { Host } from '../../framework/testing/simulation/host.ts';
import { SimulatedNetwork } from '../../framework/testing/simulation/network.ts';
import { metered, Traffic } from './traffic.ts';

@grain()
class Idler extends Grain {
  @method()
  async here(): Promise<string> {
    return this.context.silo;
  }
}

const MAX_PAYLOAD_BYTES = 1024 * 1024;
/** How often it is looked whether something has come about, in virtual milliseconds. */
const LOOK_MS = 1;

export type Totals = Pick<Traffic, 'sent' | 'received'>;

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** One silo of the cluster that is measured. */
export interface Member {
  readonly name: string;
  readonly host: Host;
  readonly traffic: Traffic;
  readonly runtime: SiloRuntime;
}

/**
 * Silos in virtual time whose traffic is counted. Not a `SimulatedCluster`: that one looks at every silo at
 * every event, for its invariants, which a thousand silos would take hours for.
 */
export class ScaleCluster {
  readonly engine: Engine;
  readonly members = new Map<string, Member>();
  readonly #network: SimulatedNetwork;
  readonly #partitions: number;
  readonly #story: Host;
  #hosts = 0;

  constructor(partitions: number, seed = 1) {
    this.#partitions = partitions;
    this.engine = new Engine(seed);
    this.#network = new SimulatedNetwork(this.engine, MAX_PAYLOAD_BYTES);
    this.#story = this.#host('story');
  }

  /** Runs what the story does, to its end. */
  async run(story: () => Promise<void>): Promise<void> {
    let over = false;
    this.#story.run(story).then(
      () => {
        over = true;
      },
      (error) => this.engine.fail(error),
    );
    await this.engine.drive(() => over);
  }

  /** Starts one silo; resolves when it takes calls. */
  async start(name: string): Promise<Member> {
    const host = this.#host(name);
    const traffic = new Traffic();
    const transport = metered(this.#network.at(host), traffic);
    const { clock, random } = host;
    const silo = await Silo.start({
      ...{ cluster: 'scale', name, log: 'silent', grains: [Idler], partitions: this.#partitions },
      ...{ transport, clock, random },
    });
    const member = { name, host, traffic, runtime: runtimeOf(silo) };
    this.members.set(name, member);
    return member;
  }

  /** The process of a silo ends; its connections close, or are gone with the machine. */
  crash(name: string, how: 'process' | 'machine'): void {
    const { host } = this.members.get(name) as Member;
    this.members.delete(name);
    host.silent = how === 'machine';
    host.die();
    this.#network.lose(host);
  }

  /** Lets virtual time pass. */
  sleep(ms: number): Promise<void> {
    return sleep(this.#story.clock, ms);
  }

  /** Virtual milliseconds until something holds for all silos. */
  async until(holds: (member: Member) => boolean): Promise<number> {
    const from = this.engine.now;
    const waiting = new Set(this.members.values());
    for (;;) {
      for (const member of waiting) {
        if (!holds(member)) break;
        waiting.delete(member);
      }
      if (waiting.size === 0) return this.engine.now - from;
      await this.sleep(LOOK_MS);
    }
  }

  /** Resolves when all silos know each other and nothing is under way; to how long that took. */
  async settled(): Promise<number> {
    return this.until(
      ({ runtime: { directory } }) => directory.era.present.size === this.members.size && directory.settled,
    );
  }

  resetTraffic(): void {
    for (const { traffic } of this.members.values()) traffic.reset();
  }

  /** What silos have sent and received since `resetTraffic`: on average, and the one with most. */
  traffic(but?: Member): { readonly mean: Totals; readonly most: Totals } {
    const all = [...this.members.values()].filter((member) => member !== but).map(({ traffic }) => traffic);
    const over = (combine: (values: number[]) => number): Totals => {
      const total = (way: 'sent' | 'received', what: 'messages' | 'bytes') =>
        combine(all.map((traffic) => traffic[way][what]));
      const count = (way: 'sent' | 'received') => ({
        messages: total(way, 'messages'),
        bytes: total(way, 'bytes'),
      });
      return { sent: count('sent'), received: count('received') };
    };
    return { mean: over(mean), most: over((values) => Math.max(...values)) };
  }

  /** Messages of some kinds that a silo has sent, on average. */
  kinds(kinds: readonly string[]): number {
    const of = (traffic: Traffic) =>
      kinds.reduce((sum, kind) => sum + (traffic.kinds.get(kind)?.messages ?? 0), 0);
    return mean([...this.members.values()].map(({ traffic }) => of(traffic)));
  }

  #host(name: string): Host {
    return new Host(this.engine, name, this.#hosts++);
  }
}
