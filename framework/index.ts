/** The public names of Granary. */
export { memory } from '../persistence/memory.ts';
export { Client, type ClientOptions } from './client.ts';
export * from './errors.ts';
export type { ArgumentsSchema } from './grain/arguments-schema.ts';
export type { GrainContext } from './grain/context.ts';
export { grain, method, reminder, state, subscribe } from './grain/decorators.ts';
export { Grain, type GrainClass } from './grain/grain.ts';
export type { GrainTimer, TimerOptions, TimerSchedule } from './grain/grain-timer.ts';
export type { GrainGroups, GroupCall, GroupMember, Groups, GroupUpdate } from './grain/groups.ts';
export type {
  IncomingCall,
  IncomingInterceptor,
  InterceptedCall,
  InterceptedOutgoingCall,
  Interceptor,
  Next,
  OutgoingInterceptor,
} from './grain/interceptors.ts';
export { type MapGrainsOptions, type Mapped, mapGrains } from './grain/map-grains.ts';
export type { Observation, ObserverRef } from './grain/observer-types.ts';
export { type Notified, type NotifyOptions, Observers } from './grain/observers.ts';
export type {
  CallOptions,
  DeactivationReason,
  GrainOptions,
  MethodOptions,
  PlacementOption,
  StateMigration,
  StateOptions,
  StoredFields,
} from './grain/options.ts';
export type { GrainRef, RemoteMethod } from './grain/reference-types.ts';
export type {
  MissedTicks,
  Reminder,
  ReminderOptions,
  ReminderTick,
  RemindOptions,
} from './grain/reminder-options.ts';
export type { RetryOptions } from './grain/retry.ts';
export type { StandardSchema } from './grain/standard-schema.ts';
export type { EventMeta, ReplayFrom, SubscribeOptions } from './grain/subscribe-options.ts';
export type { GrainId, GrainKey, KeyPart } from './identity/grain-id.ts';
export type { Labels } from './identity/labels.ts';
export { LIMITS } from './limits.ts';
export type { RuntimeEvent, RuntimeEventType, RuntimeListener } from './observability/events.ts';
export type { Placement, PlacementCandidate, PlacementRequest } from './placement/placement.ts';
export { immutable, registerError, registerType } from './serialization/codec.ts';
export { Silo } from './silo.ts';
export type { NodeOptions, SiloOptions } from './silo-options.ts';
export type { GrainStore, RecordId, StoredRecord } from './storage/grain-store.ts';
export type {
  NextTick,
  ReminderId,
  ReminderStore,
  StoredReminder,
  TickOf,
  WakingQuery,
} from './storage/reminder-store.ts';
export type { Clock, Timer } from './system/clock.ts';
export type { Random } from './system/random.ts';
export type { DeadLetter, DeadLetterError } from './topics/dead-letter.ts';
export type { TopicLag } from './topics/duties.ts';
export type {
  Cell,
  CellName,
  EventLog,
  EventLogOpenOptions,
  EventLogSession,
  LoggedEvent,
  LogReader,
  NewEvent,
} from './topics/event-log.ts';
export { type InProcessLogOptions, inProcessLog } from './topics/in-process-log.ts';
export type { ReadOptions, TopicEvent, Topics } from './topics/topics.ts';
export { type InProcessNetwork, type InProcessOptions, inProcess } from './transport/in-process.ts';
export type { Endpoint, Lane, OpenOptions, PlainCall, Receiver, Transport } from './transport/transport.ts';
