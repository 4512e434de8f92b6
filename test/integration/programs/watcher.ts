import { Client } from 'granary';
import { nats } from 'granary/nats';

/**
 * A client in a process of its own, with an observer that a grain keeps. It takes `{ cluster, servers, type,
 * key }` as one JSON argument and prints `ready`; for each call `told <text>`, which it answers, but never
 * when it is told to `wait`.
 */
const { cluster, servers, type, key } = JSON.parse(process.argv[2] ?? '{}') as Record<string, string>;
const client = await Client.connect({
  ...{ cluster: cluster as string, transport: nats({ servers: servers as string }), log: 'silent' },
});
const watcher = client.observe({
  tell(text: string): unknown {
    console.log(`told ${text}`);
    return text === 'wait' ? new Promise(() => {}) : text.length;
  },
});
const grain = client.grain(type as string, key as string) as unknown as {
  keep(ref: typeof watcher): Promise<void>;
};
await grain.keep(watcher);
console.log('ready');
