import { type EventMeta, Grain, grain, Silo, subscribe } from 'granary';
import { jetStream, nats } from 'granary/nats';
import { machineNow } from '../../support/machine-clock.ts';

/**
 * A silo in a process of its own whose grains print each event that they have handled: `handled <key> <seq>
 * <time>`.
 * It takes its options as one JSON argument, prints `ready`, and stops in order on SIGTERM.
 */
export interface TopicSiloOptions {
  readonly cluster: string;
  readonly name: string;
  readonly servers: string;
}

@grain()
class Printer extends Grain {
  @subscribe('orders')
  async ordered(_value: number, { key, seq }: EventMeta): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 1));
    console.log(`handled ${key} ${seq} ${machineNow()}`);
  }
}

const { cluster, name, servers } = JSON.parse(process.argv[2] ?? '{}') as TopicSiloOptions;
const silo = await Silo.start({
  ...{ cluster, name, grains: [Printer], log: 'silent' },
  ...{ transport: nats({ servers }), topics: jetStream({ servers }) },
});
console.log('ready');
process.once('SIGTERM', () => void silo.stop());
