import type { GrainId } from '../identity/grain-id.ts';
import type { NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import { type Call, grainOf } from '../rpc/call.ts';
import { isCount } from '../rpc/frames.ts';
import type { Node } from '../rpc/node.ts';
import type { Outbound } from '../rpc/outbound.ts';
import type { Activation } from './activation.ts';
import { deadlock, holdersUpOf } from './deadlock.ts';

/**
 * How long a call waits before somebody looks why, and then again; a call that comes back in its own chain
 * needs no wait.
 */
const LOOK_MS = { first: 50, again: 1_000 };
/** Probes in one look, so that a crowd in front of one grain costs little. */
const PROBES = 32;

interface Waiting {
  readonly activation: Activation;
  readonly call: Call;
  lookAt: number;
}

/** What a probe carries: the call that waits, whose turns wait for it, and what it has passed. */
interface Probe {
  readonly silo: NodeAddress;
  readonly target: GrainId;
  readonly caller: NodeAddress;
  readonly id: number;
  /** Turns that wait for the call that waits. */
  readonly chain: readonly string[];
  /** Turns on the way from it. */
  readonly path: readonly string[];
  /** Those turns whose own calls wait in a mailbox: each of them sends probes, too. */
  readonly waiters: readonly string[];
}

/**
 * Finds circles of turns that wait for each other and that no single call chain shows: A calls B while B, in
 * another chain, calls A.
 *
 * Edge chasing (Chandy, Misra, Haas 1983): when a call has waited for a while, a probe goes from the turn
 * that it waits behind to the calls that this turn waits for, from silo to silo. If it comes to a turn that
 * waits for the call it started from, there is a circle. All waiting calls of a circle find it; the one of
 * the greatest turn is refused, so exactly one fails and the others go on.
 */
export class DeadlockDetector {
  readonly #node: Node;
  readonly #outbound: Outbound;
  readonly #find: (id: GrainId) => Activation | undefined;
  #waiting: Waiting[] = [];
  #armed = false;

  constructor(node: Node, outbound: Outbound, find: (id: GrainId) => Activation | undefined) {
    this.#node = node;
    this.#outbound = outbound;
    this.#find = find;
    node.control.on('probe', (_from, body) => {
      const { probe, target, caller, id } = (body ?? {}) as Record<string, unknown>;
      const parsed = parseProbe(probe);
      if (parsed && typeof target === 'string' && typeof caller === 'string' && isCount(id)) {
        this.#arrive(parsed, target, caller, id);
      }
    });
    node.control.on('deadlock', (_from, body) => {
      const [target, caller, id, cycle] = Array.isArray(body) ? body : [];
      if (typeof target !== 'string' || !Array.isArray(cycle)) return;
      this.#refuse(target, caller, id, cycle.map(String));
    });
  }

  /** A call of a turn waits in a mailbox. */
  blocked(activation: Activation, call: Call): void {
    this.#waiting.push({ activation, call, lookAt: this.#node.clock.now() + LOOK_MS.first });
    this.#arm();
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#node.clock.inBackground(LOOK_MS.first, () => {
      this.#armed = false;
      this.#look();
      if (this.#waiting.length > 0) this.#arm();
    });
  }

  #look(): void {
    const now = this.#node.clock.now();
    this.#waiting = this.#waiting.filter(({ activation, call }) => activation.isWaiting(call));
    let probes = PROBES;
    for (const waiting of this.#waiting) {
      if (waiting.lookAt > now) continue;
      if (probes-- === 0) return;
      waiting.lookAt = now + LOOK_MS.again;
      this.#start(waiting);
    }
  }

  #start({ activation, call }: Waiting): void {
    const { caller, id, target, chain } = call;
    const waiters = [chain[chain.length - 1] as string];
    const probe: Probe = { silo: this.#node.address, target, caller, id, chain, path: [], waiters };
    this.#follow(probe, holdersUpOf(call, activation));
  }

  /** The probe is where a call is that a turn on its path waits for. */
  #arrive(probe: Probe, target: GrainId, caller: NodeAddress, id: number): void {
    const activation = this.#find(target);
    if (!activation) return;
    const which = (call: Call) => call.caller === caller && call.id === id;
    const running = activation.running.find(which);
    if (running) return this.#follow(probe, [running]);
    const waiting = activation.mailbox.find(which);
    const waiter = waiting?.chain[waiting.chain.length - 1];
    if (!waiting || !waiter) return;
    const waiters = [...probe.waiters, waiter];
    this.#follow({ ...probe, waiters }, holdersUpOf(waiting, activation));
  }

  /** The call that waits, waits for these turns. */
  #follow(probe: Probe, turns: readonly Call[]): void {
    for (const { link } of turns) {
      if (link === undefined || probe.path.includes(link)) continue;
      if (probe.chain.includes(link)) this.#found(probe, link);
      else if (probe.path.length < LIMITS.chainDepth)
        this.#chase({ ...probe, path: [...probe.path, link] }, link);
    }
  }

  #chase(probe: Probe, link: string): void {
    for (const { target, caller, id, sentTo, progress } of this.#outbound.madeBy(link)) {
      if (progress === 'local') this.#arrive(probe, target, caller, id);
      else if (sentTo) this.#node.control.send(sentTo, 'probe', { probe, target, caller, id });
    }
  }

  #found(probe: Probe, link: string): void {
    const { silo, target, caller, id, chain, path, waiters } = probe;
    const own = waiters[0] as string;
    if (waiters.some((other) => other > own)) return;
    const cycle = [...chain.slice(chain.indexOf(link)), ...path].map(grainOf);
    cycle.push(cycle[0] as string);
    if (silo === this.#node.address) this.#refuse(target, caller, id, cycle);
    else this.#node.control.send(silo, 'deadlock', [target, caller, id, cycle]);
  }

  #refuse(target: GrainId, caller: unknown, id: unknown, cycle: readonly string[]): void {
    const activation = this.#find(target);
    const call = activation?.mailbox.find((waiting) => waiting.caller === caller && waiting.id === id);
    if (!call) return;
    call.cancel();
    call.replies.error(call, deadlock(call, cycle));
  }
}

function parseProbe(value: unknown): Probe | undefined {
  const { silo, target, caller, id, chain, path, waiters } = (value ?? {}) as Record<string, unknown>;
  if (typeof silo !== 'string' || typeof target !== 'string' || typeof caller !== 'string' || !isCount(id))
    return undefined;
  if (![chain, path, waiters].every(isLinks)) return undefined;
  return value as Probe;
}

function isLinks(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.length <= 2 * LIMITS.chainDepth &&
    value.every((link) => typeof link === 'string')
  );
}
