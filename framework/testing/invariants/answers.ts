import type { NodeAddress } from '../../identity/silo-address.ts';
import type { RuntimeEvent } from '../../observability/events.ts';
import { Agenda } from './agenda.ts';
import type { Invariant } from './invariant.ts';
import type { Observation } from './observation.ts';

type Made = Extract<RuntimeEvent, { type: 'callMade' }>;
type Settled = Extract<RuntimeEvent, { type: 'callSettled' }>;

export interface AnswersOptions {
  /** How late a deadline may be noticed: a tick of the deadline wheel, and what else delays a timer. */
  readonly slackMs: number;
}

interface OpenCall {
  readonly made: Made;
  readonly madeAt: number;
  readonly dueAt: number;
  /** Where it is in the agenda. */
  listedAt: number;
}

/**
 * Guarantee 5: each call is settled, once, by its deadline. One-way calls too: with the word that they have
 * arrived, or by giving up.
 *
 * A node that crashes owes nothing any more. One that is paused settles what has become due as soon as it
 * goes on. One that stops settles everything first.
 */
export class Answers implements Invariant {
  readonly name = 'answers';
  readonly #slackMs: number;
  readonly #open = new Map<NodeAddress, Map<number, OpenCall>>();
  readonly #agenda = new Agenda<OpenCall>();
  readonly #paused = new Set<NodeAddress>();
  readonly #resumedAt = new Map<NodeAddress, number>();

  constructor({ slackMs }: AnswersOptions) {
    this.#slackMs = slackMs;
  }

  observe(observation: Observation): string | undefined {
    const late = this.#late(observation.at);
    const wrong = this.#take(observation);
    return late ?? wrong;
  }

  finish(): readonly string[] {
    const open: string[] = [];
    for (const [node, calls] of this.#open) {
      if (this.#paused.has(node)) continue;
      for (const call of calls.values())
        open.push(`${named(call.made)}, made at ${call.madeAt}, has no answer`);
    }
    return open;
  }

  #take({ at, node, event }: Observation): string | undefined {
    switch (event.type) {
      case 'callMade':
        return this.#made(event, at);
      case 'callSettled':
        return this.#settled(event, at);
      case 'nodePaused':
        this.#paused.add(node);
        return undefined;
      case 'nodeResumed':
        this.#paused.delete(node);
        this.#resumedAt.set(node, at);
        return undefined;
      case 'nodeCrashed':
        this.#forget(node);
        return undefined;
      case 'siloStopped': {
        const [call] = this.#open.get(node)?.values() ?? [];
        this.#forget(node);
        return call && `${named(call.made)}, made at ${call.madeAt}, had no answer when its silo had stopped`;
      }
      default:
        return undefined;
    }
  }

  #made(made: Made, at: number): string | undefined {
    const { caller, callId, timeoutMs } = made;
    const dueAt = at + Math.max(timeoutMs, 0) + this.#slackMs;
    const call: OpenCall = { made, madeAt: at, dueAt, listedAt: dueAt };
    let calls = this.#open.get(caller);
    if (!calls) {
      calls = new Map();
      this.#open.set(caller, calls);
    }
    if (calls.has(callId)) return `${named(made)} has the number of another that waits`;
    calls.set(callId, call);
    this.#agenda.add(dueAt, call);
    return undefined;
  }

  #settled(event: Settled, at: number): string | undefined {
    const calls = this.#open.get(event.caller);
    const call = calls?.get(event.callId);
    if (!calls || !call)
      return `${named(event)} was settled while it did not wait: twice, or without being made`;
    calls.delete(event.callId);
    if (calls.size === 0) this.#open.delete(event.caller);
    this.#agenda.remove(call.listedAt, call);
    if (at <= this.#limitOf(call)) return undefined;
    return `${named(event)}, made at ${call.madeAt} for ${call.made.timeoutMs} ms, was settled at ${at}`;
  }

  /** A call that nobody has settled in time. It is told once here, and again at the end. */
  #late(at: number): string | undefined {
    let late: string | undefined;
    for (const call of this.#agenda.due(at)) {
      const { made, madeAt } = call;
      if (this.#open.get(made.caller)?.get(made.callId) !== call) continue;
      const limit = this.#limitOf(call);
      if (limit >= at) {
        call.listedAt = (Number.isFinite(limit) ? limit : at) + 1;
        this.#agenda.add(call.listedAt, call);
      } else {
        late ??= `${named(made)}, made at ${madeAt} for ${made.timeoutMs} ms, had no answer at ${at}`;
      }
    }
    return late;
  }

  #limitOf({ made, madeAt, dueAt }: OpenCall): number {
    if (this.#paused.has(made.caller)) return Number.POSITIVE_INFINITY;
    const resumedAt = this.#resumedAt.get(made.caller);
    if (resumedAt === undefined || resumedAt < madeAt) return dueAt;
    return Math.max(dueAt, resumedAt + this.#slackMs);
  }

  #forget(node: NodeAddress): void {
    for (const call of this.#open.get(node)?.values() ?? []) this.#agenda.remove(call.listedAt, call);
    this.#open.delete(node);
    this.#paused.delete(node);
    this.#resumedAt.delete(node);
  }
}

function named({ grain, method, caller, callId }: Made | Settled): string {
  return `${grain}.${method}, call ${callId} of ${caller}`;
}
