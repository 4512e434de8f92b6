/** For tests: a cluster in this process, and the suites that stores and transports must pass. */

export {
  type EventLogCase,
  type EventLogFixture,
  eventLogConformance,
  runEventLogCase,
} from './event-log-conformance.ts';
export {
  checkLinearizable,
  type Linearizability,
  type LinearizabilityOptions,
  type NotLinearizable,
} from './linearizability/check-linearizable.ts';
export { type CounterInput, counterModel } from './linearizability/counter-model.ts';
export {
  type RegisterInput,
  type RegisterOutput,
  type RegisterValue,
  registerModel,
} from './linearizability/register-model.ts';
export type { Operation, Outcome, SequentialModel, Step } from './linearizability/sequential-model.ts';
export { RecordingReceiver } from './recording-receiver.ts';
export {
  describeReminderStore,
  type ReminderStoreCase,
  type ReminderStoreFactory,
  reminderStoreConformance,
} from './reminder-store-conformance.ts';
export { fewerFaults, type Smaller } from './simulation/shrink.ts';
export {
  type SimulateOptions,
  SimulationError,
  type SimulationReport,
  simulate,
} from './simulation/simulate.ts';
export { SimulatedCluster } from './simulation/simulated-cluster.ts';
export { FAULTS, type Fault, type FaultKind } from './simulation/swarm.ts';
export { failureOf, type SweepOptions, type SweepReport, shrinkFailure, sweep } from './simulation/sweep.ts';
export {
  describeStore,
  type StoreConformanceCase,
  type StoreConformanceOptions,
  type StoreFactory,
  storeConformance,
  type TestFunctions,
} from './store-conformance.ts';
export { TestCluster, type TestClusterOptions } from './test-cluster.ts';
export { type TransportCase, type TransportFixture, transportConformance } from './transport-conformance.ts';
