import type { SiloGroups } from '../directory/silo-groups.ts';
import type { GrainType } from '../grain/grain-type.ts';
import type { GrainId } from '../identity/grain-id.ts';
import type { RuntimeEvents } from '../observability/events.ts';
import type { NodeLog } from '../observability/log.ts';
import type { ReminderDesk } from '../reminders/reminder-desk.ts';
import type { Call } from '../rpc/call.ts';
import type { CallsOut } from '../rpc/calls-out.ts';
import type { Outbound } from '../rpc/outbound.ts';
import type { GrainStore } from '../storage/grain-store.ts';
import type { Clock } from '../system/clock.ts';
import type { Random } from '../system/random.ts';
import type { SiloTopics } from '../topics/silo-topics.ts';
import type { Activation } from './activation.ts';
import type { IncomingChains } from './guarded-calls.ts';
import type { Luggage } from './luggage.ts';
import type { OwnTurns } from './own-turn.ts';
import type { RunningCalls } from './running-calls.ts';

/** What all activations of a silo share. */
export interface ActivationServices {
  readonly siloName: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: RuntimeEvents;
  readonly outbound: Outbound;
  /** Where the calls go that grains make: `outbound`, or interceptors that stand before it. */
  readonly callsOut: CallsOut;
  /** What stands around the calls that run; undefined when nothing does. */
  readonly incoming: IncomingChains | undefined;
  readonly stores: ReadonlyMap<string, GrainStore>;
  readonly log: NodeLog;
  readonly running: RunningCalls;
  readonly ownTurns: OwnTurns;
  readonly reminders: ReminderDesk;
  groups(): SiloGroups;
  topics(): SiloTopics;
  grainType(name: string): GrainType | undefined;
  /** Whether turns may start now. If not, the activation is pumped when they may. */
  mayTakeTurn(activation: Activation, now: number): boolean;
  /**
   * How often silos have come back from an absence: while it is the same, nobody else can have written what
   * an activation here has read.
   */
  returns(): number;
  /** A call of another turn waits here. */
  blocked(activation: Activation, call: Call): void;
  /** Whether a grain can be on the silo of this name. */
  canBeOn(silo: string, id: GrainId): boolean;
  /** What another activation took along. Rejects when it is not to be had. */
  fetchLuggage(luggage: Luggage): Promise<Uint8Array>;
  /** It takes no turn any more, and wants to go on elsewhere: calls `packUp()`, and `end()` when it does. */
  depart(activation: Activation): void;
  /** The activation holds nothing any more; these calls wait for the next one. */
  gone(activation: Activation, waiting: Call[]): void;
}
