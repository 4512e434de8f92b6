import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findServer } from './binaries.ts';
import { freePort } from './ports.ts';
import { Program, TemporaryFolder } from './processes.ts';

const LOOPBACK = '127.0.0.1';

export interface NatsOptions {
  /** 127.0.0.1 of this machine by default. */
  readonly at?: { readonly namespace: string; readonly address: string };
  /** A free one by default. */
  readonly port?: number;
  /** More lines for its configuration file. */
  readonly config?: string;
  /** Bytes that one message may have; the server's own default is 1 MB. */
  readonly maxPayload?: number;
  readonly jetstream?: boolean;
}

/** A real nats-server, with a folder of its own. */
export class NatsServer {
  readonly port: number;
  readonly url: string;
  readonly #folder: TemporaryFolder;
  readonly #namespace: string | undefined;
  #program: Program | undefined;

  constructor(port: number, folder: TemporaryFolder, at?: NatsOptions['at']) {
    this.port = port;
    this.url = `nats://${at?.address ?? LOOPBACK}:${port}`;
    this.#folder = folder;
    this.#namespace = at?.namespace;
  }

  /** Its files, until `stop`. */
  get folder(): string {
    return this.#folder.path;
  }

  get pid(): number {
    return this.#program?.pid ?? 0;
  }

  /** Its log. */
  get output(): string {
    return this.#program?.output ?? '';
  }

  /** Starts it, on the same port and with the same files as before. Resolves when it takes connections. */
  async start(): Promise<void> {
    const path = this.#folder.path;
    const program = new Program(findServer('nats'), {
      ...{ args: ['-c', configFile(this.#folder)], cwd: path, lines: 'stderr', folder: path },
      ...(this.#namespace !== undefined && { namespace: this.#namespace }),
    });
    this.#program = program;
    await program.ready(/Server is ready/);
  }

  /** SIGKILL: its connections break at once. `restart` brings it back. */
  async kill(): Promise<void> {
    await this.#program?.[Symbol.asyncDispose]();
  }

  /** SIGSTOP: its connections stay open, and nothing moves. Resolves when that is so. */
  async pause(): Promise<void> {
    await this.#program?.sigstop();
  }

  resume(): void {
    this.#program?.sigcont();
  }

  async restart(): Promise<void> {
    await this.#shutDown();
    await this.start();
  }

  /** Ends it and removes its folder. */
  async stop(): Promise<void> {
    await this.#shutDown();
    await this.#folder[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #shutDown(): Promise<void> {
    this.#program?.sigterm();
    this.#program?.sigcont();
    await this.#program?.exited;
  }
}

/** Starts a nats-server. It ends with `stop`, or at the latest with its test file. */
export async function startNats(options: NatsOptions = {}): Promise<NatsServer> {
  const port = options.port ?? (await freePort());
  const folder = new TemporaryFolder();
  const server = new NatsServer(port, folder, options.at);
  const config = [
    `listen: "${options.at?.address ?? LOOPBACK}:${port}"`,
    options.maxPayload === undefined ? '' : `max_payload: ${options.maxPayload}`,
    options.jetstream ? `jetstream: { store_dir: "${folder.path}" }` : '',
    options.config ?? '',
  ];
  writeFileSync(configFile(folder), config.join('\n'));
  try {
    await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

function configFile(folder: TemporaryFolder): string {
  return join(folder.path, 'nats.conf');
}
