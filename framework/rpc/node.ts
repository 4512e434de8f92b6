import type { NodeAddress } from '../identity/silo-address.ts';
import { ControlChannel } from '../messaging/control-channel.ts';
import type { RuntimeEvents } from '../observability/events.ts';
import type { Clock } from '../system/clock.ts';
import type { Random } from '../system/random.ts';
import type { Endpoint, PlainCall, Transport } from '../transport/transport.ts';
import { DataLink } from './data-link.ts';

export interface NodeDoors {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
}

/** A silo or a client on the network: its address, its two lanes, and the doors that its parts share. */
export class Node {
  readonly address: NodeAddress;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: RuntimeEvents;
  readonly control: ControlChannel;
  readonly link: DataLink;
  #endpoint: Endpoint | undefined;

  /** Nobody received what left on the data lane with this ticket. */
  onUndeliverable: (to: NodeAddress, ticket: number) => void = () => {};
  onConnection: (connected: boolean) => void = () => {};
  onPlainCall: (call: PlainCall) => void = () => {};

  private constructor(address: NodeAddress, doors: NodeDoors, events: RuntimeEvents) {
    this.address = address;
    this.clock = doors.clock;
    this.random = doors.random;
    this.events = events;
    this.control = new ControlChannel(address, doors.clock, events);
    this.link = new DataLink(address, doors.clock, events);
  }

  /** Connects. Rejects with `InvalidConfigError` or `SiloUnavailableError`. */
  static async open(
    cluster: string,
    address: NodeAddress,
    doors: NodeDoors,
    events: RuntimeEvents,
  ): Promise<Node> {
    const node = new Node(address, doors, events);
    const { control, link } = node;
    const endpoint = await doors.transport.open({
      cluster,
      address,
      receiver: {
        received: (lane, payload) => (lane === 'data' ? link.receive(payload) : control.receive(payload)),
        undeliverable(lane, to, ticket) {
          if (lane === 'control') control.undeliverable(to, ticket);
          else if (to) {
            link.undeliverable(to, ticket);
            node.onUndeliverable(to, ticket);
          }
        },
        connectionChanged(connected) {
          events.publish({ type: 'connectionChanged', connected });
          node.onConnection(connected);
        },
        plainCall: (call) => node.onPlainCall(call),
      },
    });
    node.#endpoint = endpoint;
    control.attach(endpoint);
    link.attach(endpoint);
    return node;
  }

  get endpoint(): Endpoint {
    return this.#endpoint as Endpoint;
  }

  /** Sends what is pending and disconnects. Never rejects. */
  async close(): Promise<void> {
    this.link.finish();
    await this.endpoint.close();
    this.link.close();
    this.control.close();
  }
}
