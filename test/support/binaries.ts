import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

/** A server that tests run: how to find it, and how to get it. */
interface Server {
  /** The program that is looked for. */
  readonly program: string;
  readonly title: string;
  readonly debianPackage: string;
  /** The variable by which a user names its place: the program, or its folder. */
  readonly variable: string;
  readonly isFolder?: boolean;
  /** Folders beside PATH; one `*` may stand for a version. */
  readonly folders: readonly string[];
  readonly howToGet: string;
}

const SERVERS = {
  nats: {
    program: 'nats-server',
    title: 'nats-server',
    debianPackage: 'nats-server',
    variable: 'NATS_SERVER',
    folders: ['/usr/sbin', '/usr/local/bin', '/usr/local/sbin', '/opt/homebrew/bin'],
    howToGet:
      'apt-get install nats-server (Debian), brew install nats-server (macOS) or https://nats.io/download; ' +
      'or set NATS_SERVER to the program',
  },
  postgres: {
    program: 'initdb',
    title: 'PostgreSQL',
    debianPackage: 'postgresql',
    variable: 'PG_BIN',
    isFolder: true,
    folders: [
      '/usr/lib/postgresql/*/bin',
      '/usr/pgsql-*/bin',
      '/opt/homebrew/opt/postgresql*/bin',
      '/usr/local/opt/postgresql*/bin',
      '/usr/local/pgsql/bin',
    ],
    howToGet:
      'apt-get install postgresql (Debian), brew install postgresql (macOS) or ' +
      'https://www.postgresql.org/download; or set PG_BIN to the folder of initdb and postgres',
  },
} satisfies Record<string, Server>;

export type ServerName = keyof typeof SERVERS;

/** Where to look. Tests of the search itself narrow it. */
export interface Search {
  readonly env?: NodeJS.ProcessEnv;
  /** Whether to look in the usual folders too, beside PATH. */
  readonly usualFolders?: boolean;
}

/** Its message is one line, which says what to do. */
export class ServerMissing extends Error {}

/** Path of the server's program. Throws `ServerMissing`. */
export function findServer(name: ServerName, search: Search = {}): string {
  const found = look(name, search);
  if (found) return found;
  const { title, howToGet } = SERVERS[name];
  throw new ServerMissing(`${title} is not installed, but needed: ${howToGet}`);
}

/** Folder of PostgreSQL's programs. */
export function postgresFolder(): string {
  return dirname(findServer('postgres'));
}

/**
 * Finds every server, or installs it where that is allowed: on Debian, as root. Throws like `findServer`, and
 * at once when the user named a wrong place. One process at a time: others that call it meanwhile wait for
 * the lock, and then find what it installed.
 */
export function ensureServers(names: readonly ServerName[]): void {
  const missing = names.filter((name) => !look(name, {}));
  if (missing.length > 0 && canInstall()) {
    const packages = missing.map((name) => SERVERS[name].debianPackage);
    process.stderr.write(`Installing ${packages.join(' and ')} (apt-get)\n`);
    install(packages);
  }
  for (const name of names) findServer(name);
}

/** Throws `ServerMissing` when the user named a place where it is not: no other will do then. */
function look(name: ServerName, { env = process.env, usualFolders = true }: Search): string | undefined {
  const server: Server = SERVERS[name];
  const place = env[server.variable];
  if (place) {
    const program = server.isFolder ? join(place, server.program) : place;
    if (isProgram(program)) return program;
    const wrong = server.isFolder ? `there is no ${server.program} in it` : 'that is not a program';
    throw new ServerMissing(`${server.variable} is ${place}, but ${wrong}`);
  }
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  if (usualFolders) folders.push(...server.folders.flatMap(expand));
  return folders.map((folder) => join(folder, server.program)).find(isProgram);
}

/**
 * The folders that match a pattern whose one star stands for a part of one name; the newest version first.
 */
function expand(pattern: string): string[] {
  const [before, after] = pattern.split('*');
  if (before === undefined || after === undefined) return [pattern];
  const parent = before.slice(0, before.lastIndexOf('/') + 1);
  if (!existsSync(parent)) return [];
  return readdirSync(parent)
    .map((name) => `${parent}${name}`)
    .filter((path) => path.startsWith(before))
    .map((path) => join(path, after.slice(after.indexOf('/'))))
    .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function canInstall(): boolean {
  if (process.getuid?.() !== 0 || !isProgram('/usr/bin/apt-get')) return false;
  return (
    existsSync('/etc/os-release') && /^ID(_LIKE)?=.*debian/m.test(readFileSync('/etc/os-release', 'utf8'))
  );
}

function install(packages: readonly string[]): void {
  const script = 'apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"';
  const lock = join(tmpdir(), 'granary-apt.lock');
  const done = spawnSync('flock', [lock, 'sh', '-c', script, 'sh', ...packages], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
  });
  if (done.status === 0) return;
  process.stderr.write(`apt-get failed:\n${done.error ?? done.stderr.trimEnd()}\n`);
}
