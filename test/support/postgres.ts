import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, chownSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { postgresFolder } from './binaries.ts';
import { freePort } from './ports.ts';
import { Program, TemporaryFolder } from './processes.ts';

const LOOPBACK = '127.0.0.1';

export interface PostgresOptions {
  /**
   * Settings as in postgresql.conf. By default nothing waits for the disk (`fsync=off`), but a commit still
   * leaves the process before it is acknowledged: what was acknowledged survives also an immediate shutdown.
   */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** 127.0.0.1 of this machine by default. */
  readonly at?: { readonly namespace: string; readonly address: string };
}

/**
 * `fast` lets running statements fail and shuts down in order; `immediate` is a crash, with recovery at the
 * next start.
 */
export type ShutdownMode = 'fast' | 'immediate';

interface User {
  readonly uid?: number;
  readonly gid?: number;
}

/** A real PostgreSQL, with a folder of its own. */
export class PostgresServer {
  readonly port: number;
  /** The database `postgres`, as its superuser; no password. For who is in its network. */
  readonly url: string;
  readonly #folder: TemporaryFolder;
  readonly #user: User;
  readonly #settings: readonly string[];
  readonly #at: PostgresOptions['at'];
  #program: Program | undefined;

  constructor(port: number, folder: TemporaryFolder, user: User, options: PostgresOptions) {
    this.port = port;
    this.#at = options.at;
    this.url = this.#urlOf('postgres');
    this.#folder = folder;
    this.#user = user;
    const settings = {
      listen_addresses: options.at?.address ?? LOOPBACK,
      port,
      unix_socket_directories: folder.path,
      fsync: 'off',
      ...options.settings,
    };
    this.#settings = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  }

  /** Its files, until `stop`. */
  get folder(): string {
    return this.#folder.path;
  }

  /** Starts it, on the same port and with the same data as before. Resolves when it takes connections. */
  async start(): Promise<void> {
    const path = this.#folder.path;
    const program = new Program(join(postgresFolder(), 'postgres'), {
      args: ['-D', join(path, 'data'), ...this.#settings],
      ...this.#user,
      ...(this.#at && { namespace: this.#at.namespace }),
      cwd: path,
      lines: 'stderr',
      folder: path,
      // SIGKILL would leave its shared memory behind.
      endSignal: 'SIGQUIT',
    });
    this.#program = program;
    await program.ready(/ready to accept connections/);
  }

  async restart({ mode = 'fast' }: { mode?: ShutdownMode } = {}): Promise<void> {
    await this.shutDown(mode);
    await this.start();
  }

  /** Ends the process and keeps the data; `start` brings it back. */
  async shutDown(mode: ShutdownMode = 'fast'): Promise<void> {
    this.#program?.signal(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
    await this.#program?.exited;
  }

  /** Ends it and removes its folder. */
  async stop(): Promise<void> {
    await this.shutDown('immediate');
    await this.#folder[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Creates an empty database; returns its URL. */
  async createDatabase(name = `test_${randomBytes(6).toString('hex')}`): Promise<string> {
    await this.session('postgres', (client) =>
      client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`),
    );
    return this.#urlOf(name);
  }

  /** Works on a database from this process, whatever network the server is in: through its socket file. */
  async session<T>(database: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({ host: this.folder, port: this.port, user: 'postgres', database });
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }

  #urlOf(database: string): string {
    const host = this.#at?.address ?? LOOPBACK;
    return `postgres://postgres@${host}:${this.port}/${encodeURIComponent(database)}`;
  }
}

/** Makes a PostgreSQL and starts it. It ends with `stop`, or at the latest with its test file. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const folder = new TemporaryFolder();
  const user = serverUser();
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder.path, user.uid, user.gid);
  try {
    await initialize(folder.path, user);
    if (options.at) appendFileSync(join(folder.path, 'data', 'pg_hba.conf'), 'host all all samenet trust\n');
    const server = new PostgresServer(await freePort(), folder, user, options);
    await server.start();
    return server;
  } catch (error) {
    await folder[Symbol.asyncDispose]();
    throw error;
  }
}

async function initialize(folder: string, user: User): Promise<void> {
  const args = [
    '-D',
    join(folder, 'data'),
    '-U',
    'postgres',
    '-E',
    'UTF8',
    '--no-locale',
    '-A',
    'trust',
    '--no-sync',
  ];
  const initdb = new Program(join(postgresFolder(), 'initdb'), { args, ...user, cwd: folder, folder });
  const { code } = await initdb.exited;
  if (code !== 0) throw new Error(`initdb failed (${code})\n${initdb.output}`);
}

/** PostgreSQL refuses to run as root: then it runs as the user that its package made, or as nobody. */
function serverUser(): User {
  if (process.getuid?.() !== 0) return {};
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((what) => spawnSync('id', [what, name], { encoding: 'utf8' }));
    if (uid?.status === 0 && gid?.status === 0) return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  }
  throw new Error('PostgreSQL does not run as root, and there is no user postgres or nobody to run it as');
}
