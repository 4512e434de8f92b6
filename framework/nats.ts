/** What needs NATS: the network between nodes, and topics on JetStream. */
export { type JetStreamOptions, jetStream } from './topics/jet-stream.ts';
export { type NatsOptions, nats } from './transport/nats.ts';
