/** The public names of Granary. */
export { memory } from '../persistence/memory.ts';
export { Client, type ClientOptions } from './client.ts';
export * from './errors.ts';
export type { ArgumentsSchema } from './grain/arguments-schema.ts';
export type { GrainContext } from './grain/context.ts';
export { grain, method, state } from './grain/decorators.ts';
export { Grain, type GrainClass } from './grain/grain.ts';
export type { GrainTimer, TimerOptions, TimerSchedule } from './grain/grain-timer.ts';
export type {
  IncomingCall,
  IncomingInterceptor,
  InterceptedCall,
  InterceptedOutgoingCall,
  Interceptor,
  Next,
  OutgoingInterceptor,
} from './grain/interceptors.ts';
export type {
  CallOptions,
  DeactivationReason,
  GrainOptions,
  MethodOptions,
  PlacementOption,
  StateOptions,
} from './grain/options.ts';
export type { GrainRef, RemoteMethod } from './grain/reference-types.ts';
export type { StandardSchema } from './grain/standard-schema.ts';
export type { Groups, GroupUpdate } from './groups.ts';
export type { GrainId, GrainKey, KeyPart } from './identity/grain-id.ts';
export { LIMITS } from './limits.ts';
export type { RuntimeEvent, RuntimeEventType, RuntimeListener } from './observability/events.ts';
export type { Placement, PlacementCandidate, PlacementRequest } from './placement/placement.ts';
export { immutable, registerError, registerType } from './serialization/codec.ts';
export { Silo } from './silo.ts';
export type { NodeOptions, SiloOptions } from './silo-options.ts';
export type { GrainStore, RecordId, StoredRecord } from './storage/grain-store.ts';
export type { Clock, Timer } from './system/clock.ts';
export type { Random } from './system/random.ts';
export { type InProcessNetwork, type InProcessOptions, inProcess } from './transport/in-process.ts';
export type { Endpoint, Lane, OpenOptions, PlainCall, Receiver, Transport } from './transport/transport.ts';
