import { InvalidConfigError } from '../errors.ts';
import { show } from './open-options.ts';

export interface NatsServer {
  readonly hostname: string;
  readonly port: number;
}

export interface NatsServers {
  readonly servers: readonly NatsServer[];
  /** From the first URL that has any. The `nats` package does not look for them there. */
  readonly credentials: { readonly user?: string; readonly pass?: string; readonly token?: string };
}

const DEFAULT_PORT = 4222;

/** Reads the option `servers`. Throws `InvalidConfigError`. */
export function parseServers(servers: unknown): NatsServers {
  const list = typeof servers === 'string' ? servers.split(',') : servers;
  if (!Array.isArray(list) || list.length === 0) {
    throw new InvalidConfigError(
      "nats(): servers is missing; give one or more URLs, as 'nats://127.0.0.1:4222'",
    );
  }
  const urls = list.map(parseUrl);
  const known = urls.find((url) => url.username !== '');
  return { servers: urls.map(serverOf), credentials: known ? credentialsOf(known) : {} };
}

/** A server as another one of its cluster announces it, `host:port`. */
export function parseAnnounced(text: string): NatsServer | undefined {
  return URL.canParse(`nats://${text}`) ? serverOf(new URL(`nats://${text}`)) : undefined;
}

/** Without credentials: for messages. */
export function serverText({ hostname, port }: NatsServer): string {
  return hostname.includes(':') ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

function parseUrl(server: unknown): URL {
  const text = typeof server === 'string' ? server.trim() : '';
  const full = text.includes('://') ? text : `nats://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (!url || url.host === '' || !['nats:', 'tls:'].includes(url.protocol) || !isEscaped(url)) {
    const shown = text.includes('@') ? 'one of them' : show(server);
    throw new InvalidConfigError(
      `nats(): servers: ${shown} is not the URL of a NATS server, as 'nats://127.0.0.1:4222'`,
    );
  }
  return url;
}

function isEscaped({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}

function serverOf({ hostname, port }: URL): NatsServer {
  return { hostname: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? DEFAULT_PORT : Number(port) };
}

function credentialsOf(url: URL): NatsServers['credentials'] {
  const user = decodeURIComponent(url.username);
  return url.password === '' ? { token: user } : { user, pass: decodeURIComponent(url.password) };
}
