/** For tests: a cluster in this process, and the suites that stores and transports must pass. */

export { RecordingReceiver } from './recording-receiver.ts';
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
