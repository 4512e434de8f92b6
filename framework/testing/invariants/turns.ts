import type { NodeAddress } from '../../identity/silo-address.ts';
import type { RuntimeEvent } from '../../observability/events.ts';
import type { Invariant } from './invariant.ts';
import type { Observation } from './observation.ts';

type TurnEvent = Extract<RuntimeEvent, { type: 'turnStarted' | 'turnEnded' }>;

interface Running {
  readonly event: TurnEvent;
  /** A call that may run more than once may do so beside itself. */
  times: number;
}

interface Life {
  readonly node: NodeAddress;
  ready: boolean;
  exclusive: number;
  readOnly: number;
  readonly running: Map<string, Running>;
}

/**
 * Guarantee 1: an exclusive turn runs beside none but interleaving ones, a read-only turn beside read-only
 * and interleaving ones, a timer's tick beside none of the same timer; turns belong to the time between an
 * activation's being ready and its being gone; each ends once.
 *
 * What a silo does after it has stopped, or was replaced, is not looked at: it has given up the turns that
 * would not end, and cannot make them.
 */
export class Turns implements Invariant {
  readonly name = 'turns';
  readonly #lives = new Map<string, Life>();
  readonly #ended = new Set<NodeAddress>();

  observe({ node, event }: Observation): string | undefined {
    switch (event.type) {
      case 'activationCreated':
      case 'activationReady':
      case 'activationGone':
        if (!this.#ended.has(node))
          return this.#lifeChanged(event.type, event.grain, event.activationId, node);
        return undefined;
      case 'turnStarted':
        return this.#ended.has(node) ? undefined : this.#started(event, node);
      case 'turnEnded':
        return this.#ended.has(node) ? undefined : this.#turnEnded(event, node);
      case 'nodeCrashed':
      case 'siloStopped':
      case 'siloReplaced':
        this.#ended.add(node);
        for (const [id, life] of this.#lives) if (life.node === node) this.#lives.delete(id);
        return undefined;
      default:
        return undefined;
    }
  }

  finish(): readonly string[] {
    return []; // a turn may run for as long as it likes
  }

  #lifeChanged(
    type: 'activationCreated' | 'activationReady' | 'activationGone',
    grain: string,
    id: string,
    node: NodeAddress,
  ): string | undefined {
    const life = this.#lives.get(id);
    const whose = `${grain}: activation ${id} on ${node}`;
    if (type === 'activationCreated') {
      this.#lives.set(id, { node, ready: false, exclusive: 0, readOnly: 0, running: new Map() });
      return life && `${whose} was created twice`;
    }
    if (!life) return `${whose} told ${type} while it did not exist`;
    if (type === 'activationReady') {
      life.ready = true;
      return undefined;
    }
    this.#lives.delete(id);
    const [running] = life.running.values();
    return running && `${whose} was gone while ${callOf(running.event)} ran`;
  }

  #started(event: TurnEvent, node: NodeAddress): string | undefined {
    const life = this.#lives.get(event.activationId);
    if (!life) return `${turnOf(event, node)} started in an activation that did not exist, or not any more`;
    const obstacle = life.ready ? obstacleTo(event, life) : 'before its activation was ready';
    const key = keyOf(event);
    const before = life.running.get(key);
    if (before) before.times++;
    else life.running.set(key, { event, times: 1 });
    count(event, life, 1);
    return obstacle && `${turnOf(event, node)} started ${obstacle}`;
  }

  #turnEnded(event: TurnEvent, node: NodeAddress): string | undefined {
    const life = this.#lives.get(event.activationId);
    const key = keyOf(event);
    const running = life?.running.get(key);
    if (!life || !running) return `${turnOf(event, node)} ended without having started`;
    if (--running.times === 0) life.running.delete(key);
    count(running.event, life, -1);
    return undefined;
  }
}

function obstacleTo(event: TurnEvent, life: Life): string | undefined {
  if (event.method.startsWith('$timer.')) {
    for (const { event: other } of life.running.values())
      if (other.method === event.method) return `while ${callOf(other)} ran: ticks of one timer`;
  }
  const free = life.exclusive === 0 && (event.mode === 'readOnly' || life.readOnly === 0);
  if (event.mode === 'interleave' || free) return undefined;
  for (const { event: other } of life.running.values()) {
    const either = event.mode === 'exclusive' || other.mode === 'exclusive';
    if (either && other.mode !== 'interleave') return `while ${callOf(other)} ran (${other.mode})`;
  }
  return undefined;
}

function count(event: TurnEvent, life: Life, by: number): void {
  if (event.mode === 'exclusive') life.exclusive += by;
  else if (event.mode === 'readOnly') life.readOnly += by;
}

function keyOf({ caller, callId }: TurnEvent): string {
  return `${caller} ${callId}`;
}

function callOf({ method, caller, callId }: TurnEvent): string {
  return `${method}, call ${callId} of ${caller},`;
}

function turnOf(event: TurnEvent, node: NodeAddress): string {
  return `${event.grain} on ${node}: ${callOf(event)} (${event.mode})`;
}
