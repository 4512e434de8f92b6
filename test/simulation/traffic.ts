import type { Endpoint, Receiver, Transport } from '../../framework/transport/transport.ts';

export interface Count {
  messages: number;
  bytes: number;
}

/** What one node sends and receives. What it publishes to all counts once where it is sent. */
export class Traffic {
  readonly sent: Count = { messages: 0, bytes: 0 };
  readonly received: Count = { messages: 0, bytes: 0 };
  /** What was sent, by kind of control message; those on the data lane are one kind. */
  readonly kinds = new Map<string, Count>();

  reset(): void {
    for (const count of [this.sent, this.received]) {
      count.messages = 0;
      count.bytes = 0;
    }
    this.kinds.clear();
  }

  send(lane: string, payload: Uint8Array): void {
    add(this.sent, payload);
    const kind = lane === 'control' ? kindOf(payload) : lane;
    let count = this.kinds.get(kind);
    if (!count) {
      count = { messages: 0, bytes: 0 };
      this.kinds.set(kind, count);
    }
    add(count, payload);
  }

  receive(payload: Uint8Array): void {
    add(this.received, payload);
  }
}

function add(count: Count, { length }: Uint8Array): void {
  count.messages++;
  count.bytes += length;
}

/** A control message is an array: the protocol's version, then its kind, a short string. */
function kindOf(payload: Uint8Array): string {
  const length = (payload[2] as number) & 0x1f;
  return String.fromCharCode(...payload.subarray(3, 3 + length));
}

/** A transport whose traffic is counted. */
export function metered(transport: Transport, traffic: Traffic): Transport {
  return {
    async open(options) {
      const { receiver } = options;
      const counting: Receiver = {
        received(lane, payload) {
          traffic.receive(payload);
          receiver.received(lane, payload);
        },
        undeliverable: (lane, to, ticket) => receiver.undeliverable(lane, to, ticket),
        connectionChanged: (connected) => receiver.connectionChanged(connected),
        plainCall: (call) => receiver.plainCall(call),
      };
      const endpoint = await transport.open({ ...options, receiver: counting });
      return meteredEndpoint(endpoint, traffic);
    },
  };
}

function meteredEndpoint(endpoint: Endpoint, traffic: Traffic): Endpoint {
  return {
    get connected() {
      return endpoint.connected;
    },
    get maxPayloadBytes() {
      return endpoint.maxPayloadBytes;
    },
    get discoveryMs() {
      return endpoint.discoveryMs;
    },
    send(lane, to, payload, ticket) {
      traffic.send(lane, payload);
      endpoint.send(lane, to, payload, ticket);
    },
    broadcast(payload) {
      traffic.send('control', payload);
      endpoint.broadcast(payload);
    },
    sendToAnySilo(payload, ticket) {
      traffic.send('control', payload);
      endpoint.sendToAnySilo(payload, ticket);
    },
    serve: () => endpoint.serve(),
    unserve: () => endpoint.unserve(),
    flush: () => endpoint.flush(),
    close: () => endpoint.close(),
  };
}
