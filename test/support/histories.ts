import type { Invariant } from '../../framework/testing/invariants/invariant.ts';
import type { Observation } from '../../framework/testing/invariants/observation.ts';

export const GRAIN = 'Counter/x';

type Event = Observation['event'];
type EventOf<T extends Event['type']> = Extract<Event, { type: T }>;

/** One entry of a history that is made by hand. */
export function see(at: number, node: string, event: Event): Observation {
  return { at, node, event };
}

/** What a checker says of a history, in order; what it says at the end comes last. */
export function judge(invariant: Invariant, history: readonly Observation[]): string[] {
  const said = history.flatMap((observation) => invariant.observe(observation) ?? []);
  return [...said, ...invariant.finish(history.at(-1)?.at ?? 0)];
}

/** Both at once, as an activation without anything to prepare tells it. */
export function born(at: number, node: string, activationId: string, grain = GRAIN): Observation[] {
  return [
    see(at, node, { type: 'activationCreated', grain, activationId }),
    see(at, node, { type: 'activationReady', grain, activationId }),
  ];
}

export function gone(at: number, node: string, activationId: string, grain = GRAIN): Observation {
  return see(at, node, { type: 'activationGone', grain, activationId, reason: 'idle' });
}

type TurnFields = Partial<Omit<EventOf<'turnStarted' | 'turnEnded'>, 'type' | 'activationId'>>;

export function started(
  at: number,
  node: string,
  activationId: string,
  fields: TurnFields = {},
): Observation {
  return see(at, node, { ...turn(activationId, fields), type: 'turnStarted' });
}

export function ended(at: number, node: string, activationId: string, fields: TurnFields = {}): Observation {
  return see(at, node, { ...turn(activationId, fields), type: 'turnEnded' });
}

function turn(activationId: string, fields: TurnFields) {
  const usual = {
    grain: GRAIN,
    method: 'add',
    caller: 'client~1',
    callId: 1,
    mode: 'exclusive',
    stream: false,
  } as const;
  return { ...usual, ...fields, activationId } as const;
}

type MadeFields = Partial<Omit<EventOf<'callMade'>, 'type'>>;

export function made(at: number, callId: number, fields: MadeFields = {}): Observation {
  const usual = { grain: GRAIN, method: 'add', caller: 'client~1', timeoutMs: 1_000 };
  const flags = { oneWay: false, stream: false, repeatable: false };
  const event = { ...usual, ...flags, callId, ...fields, type: 'callMade' } as const;
  return see(at, event.caller, event);
}

export function settled(at: number, callId: number, caller = 'client~1'): Observation {
  const fields = { grain: GRAIN, method: 'add', caller, callId, error: undefined };
  return see(at, caller, { type: 'callSettled', ...fields });
}

export function retried(at: number, callId: number, caller = 'client~1'): Observation {
  const fields = { grain: GRAIN, method: 'add', caller, callId, reason: 'nobody listens' };
  return see(at, caller, { type: 'callRetried', ...fields });
}

export const crashed = (at: number, node: string) => see(at, node, { type: 'nodeCrashed' });
export const paused = (at: number, node: string) => see(at, node, { type: 'nodePaused' });
export const resumed = (at: number, node: string) => see(at, node, { type: 'nodeResumed' });
export const stopped = (at: number, node: string) => see(at, node, { type: 'siloStopped', silo: node });

export function network(at: number, whole: boolean, ordered = true): Observation {
  return see(at, '', { type: 'networkChanged', whole, ordered });
}

export function agreement(at: number, agreed: boolean): Observation {
  return see(at, '', { type: 'agreementChanged', agreed });
}

export function applied(
  at: number,
  node: string,
  before: string | undefined,
  etag: string | undefined,
): Observation {
  return see(at, node, { type: 'recordApplied', grain: GRAIN, record: 'state', before, etag });
}

/** An activation has read, saved or cleared its record. */
export function heard(
  at: number,
  node: string,
  type: 'recordRead' | 'recordSaved' | 'recordCleared',
  activationId: string,
  before: string | undefined,
  etag: string | undefined,
): Observation {
  return see(at, node, { type, grain: GRAIN, activationId, record: 'state', before, etag });
}
