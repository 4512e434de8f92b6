import { InvalidConfigError } from '../errors.ts';
import { show } from './open-options.ts';

export interface NatsServers {
  /** `host:port`, without credentials: they appear in messages. */
  readonly hosts: readonly string[];
  /** From the first URL that has any. The `nats` package does not look for them there. */
  readonly credentials: { readonly user?: string; readonly pass?: string; readonly token?: string };
}

/** Reads the option `servers`. Throws `InvalidConfigError`. */
export function parseServers(servers: unknown): NatsServers {
  const list = typeof servers === 'string' ? servers.split(',') : servers;
  if (!Array.isArray(list) || list.length === 0) {
    throw new InvalidConfigError(
      "nats(): servers is missing; give one or more URLs, as 'nats://127.0.0.1:4222'",
    );
  }
  const urls = list.map(parseServer);
  const known = urls.find((url) => url.username !== '');
  return { hosts: urls.map((url) => url.host), credentials: known ? credentialsOf(known) : {} };
}

function parseServer(server: unknown): URL {
  const text = typeof server === 'string' ? server.trim() : '';
  const full = text.includes('://') ? text : `nats://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (!url || url.host === '' || !['nats:', 'tls:'].includes(url.protocol)) {
    const shown = text.includes('@') ? 'one of them' : show(server);
    throw new InvalidConfigError(
      `nats(): servers: ${shown} is not the URL of a NATS server, as 'nats://127.0.0.1:4222'`,
    );
  }
  return url;
}

function credentialsOf(url: URL): NatsServers['credentials'] {
  const user = decodeURIComponent(url.username);
  return url.password === '' ? { token: user } : { user, pass: decodeURIComponent(url.password) };
}
