import { Socket } from 'node:net';
import pg from 'pg';
import { InvalidConfigError, StoreError } from '../framework/errors.ts';
import { inBinary } from './binary-arrays.ts';
import { NotSentError, type SqlDatabase, type SqlQuery, type SqlRow, sqlFailure } from './sql-database.ts';
import { SESSION_SETTINGS } from './sql-statements.ts';

export interface PostgresDatabaseOptions {
  readonly url: string;
  readonly poolSize: number;
  readonly statementTimeoutMs: number;
  readonly connectTimeoutMs: number;
}

/**
 * The server ends a statement that takes too long. Only when it does not answer even then, the connection is
 * given up.
 */
const ANSWER_GRACE_MS = 1_000;
const CLOSE_GRACE_MS = 1_000;
/** A migration may rewrite a large table, or wait for another silo's migration. */
const MIGRATION_TIMEOUT_MS = 10 * 60_000;

/** A PostgreSQL server, through a pool of connections that come back by themselves. */
export class PostgresDatabase implements SqlDatabase {
  readonly label: string;
  readonly concurrency: number;
  readonly #pool: pg.Pool;
  // Its own, because a pool ends connections politely and forgets them, and a frozen server does not answer
  // to that.
  readonly #sockets = new Set<Socket>();

  constructor(options: PostgresDatabaseOptions) {
    const { hostname, port, pathname } = new URL(options.url);
    this.label = `PostgreSQL at ${hostname || 'the local socket'}${port && `:${port}`}${pathname}`;
    this.concurrency = options.poolSize;
    this.#pool = new pg.Pool({
      connectionString: options.url,
      max: options.poolSize,
      connectionTimeoutMillis: options.connectTimeoutMs,
      query_timeout: options.statementTimeoutMs + ANSWER_GRACE_MS,
      idleTimeoutMillis: 60_000,
      keepAlive: true,
      fallback_application_name: 'granary',
      stream: () => this.#socket(),
      onConnect: (client) =>
        client.query(`${SESSION_SETTINGS}; SET statement_timeout = ${options.statementTimeoutMs}`),
    });
    // An idle connection that breaks has no one to tell: the pool has dropped it, and the next statement
    // makes a new one.
    this.#pool.on('error', () => undefined);
  }

  async open(): Promise<void> {
    try {
      await this.query({ text: 'SELECT 1' });
    } catch (error) {
      await this.close();
      throw this.#openError(error);
    }
  }

  query: SqlQuery = async (statement, params = []) => {
    const { name, text } = statement;
    // The server's plain answer, also when it is an error, leaves the connection as it was.
    return this.#withClient(
      (client) => run(client, text, params, name === undefined ? {} : { name }),
      (error) => sqlFailure(error).undone,
    );
  };

  transaction<T>(work: (query: SqlQuery) => Promise<T>): Promise<T> {
    // After any failure the connection is ended, which rolls back, whatever state it is in.
    return this.#withClient(
      async (client) => {
        await run(client, `BEGIN; SET LOCAL statement_timeout = ${MIGRATION_TIMEOUT_MS}`, []);
        const result = await work(({ text }, params = []) =>
          run(client, text, params, { query_timeout: MIGRATION_TIMEOUT_MS }),
        );
        await run(client, 'COMMIT', []);
        return result;
      },
      () => false,
    );
  }

  /**
   * Waits until the server has closed its ends, for a second: a frozen one never does, and would keep this
   * process alive.
   */
  async close(): Promise<void> {
    await this.#pool.end();
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, CLOSE_GRACE_MS);
    await Promise.all(
      [...this.#sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))),
    );
    clearTimeout(timer);
  }

  async #withClient<T>(
    work: (client: pg.PoolClient) => Promise<T>,
    usableAfter: (error: unknown) => boolean,
  ): Promise<T> {
    let client: pg.PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (error) {
      throw new NotSentError(
        `${this.label} cannot be reached: ${(error as Error).message || String(error)}`,
        { cause: error },
      );
    }
    // What breaks the connection also fails the statement; without a listener it would end the process too.
    const ignore = () => undefined;
    client.on('error', ignore);
    let broken: Error | undefined;
    try {
      return await work(client);
    } catch (error) {
      if (!usableAfter(error)) broken = error as Error;
      throw error;
    } finally {
      client.off('error', ignore);
      client.release(broken);
    }
  }

  #socket(): Socket {
    const socket = new Socket();
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    return socket;
  }

  /**
   * A server that refuses who we are, or has no such database, will not change its mind; one that is not
   * there may come.
   */
  #openError(error: unknown): Error {
    const cause = error instanceof NotSentError ? error.cause : error;
    const { code, message } = cause as { code?: string; message?: string };
    if (code !== undefined && ['28000', '28P01', '3D000'].includes(code)) {
      return new InvalidConfigError(
        `${this.label} refused the connection: ${message} (${code}); correct the store's url`,
        { cause },
      );
    }
    return new StoreError(
      `${this.label} cannot be reached: ${message || code}; check the store's url and that the server runs`,
      { cause },
    );
  }
}

async function run(
  client: pg.PoolClient,
  text: string,
  params: readonly unknown[],
  more: StatementOptions = {},
): Promise<SqlRow[]> {
  const { rows } = await client.query<SqlRow>({ text, values: params.map(inBinary), ...more });
  return rows;
}

interface StatementOptions {
  readonly name?: string;
  /** Documented by pg, but missing in its types. */
  readonly query_timeout?: number;
}
