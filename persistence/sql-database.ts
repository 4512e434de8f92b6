/**
 * A row as the statements of `sql-statements.ts` return it: every column cast to what both databases hand
 * over alike.
 */
export type SqlRow = Readonly<Record<string, string | number | Uint8Array | null>>;

export interface SqlStatement {
  /** A statement with a name is prepared once for each connection. */
  readonly name?: string;
  readonly text: string;
}

export type SqlQuery = (statement: SqlStatement, params?: readonly unknown[]) => Promise<SqlRow[]>;

/**
 * The seam below `SqlStore`: a PostgreSQL that is reached over the network, or one that is embedded in this
 * process.
 */
export interface SqlDatabase {
  /** What and where it is, for messages; without secrets. */
  readonly label: string;
  /** Statements that may usefully run at once. */
  readonly concurrency: number;
  /** Connects. What it rejects with goes to the user as it is. */
  open(): Promise<void>;
  /**
   * Runs one statement as a transaction of its own. Rejects with the database's error, or with
   * `NotSentError`.
   */
  readonly query: SqlQuery;
  /** Runs `work` in one transaction, which may take minutes. */
  transaction<T>(work: (query: SqlQuery) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** The statement did not leave this process: nothing was read or written. */
export class NotSentError extends Error {
  override readonly name = 'NotSentError';
}

/** What a failed statement means for the records in it. */
export interface SqlFailure {
  /** Whether it is certain that the statement changed nothing. */
  readonly undone: boolean;
  /** The database gave up in favour of another transaction; the same statement may simply run again. */
  readonly again: boolean;
  /** The fault may lie in one row, so that its neighbours would succeed without it. */
  readonly ofOneRow: boolean;
  readonly reason: string;
}

/**
 * Reads a failure. An error with a `severity` is the server's own answer, which rolls the statement back,
 * unless it ends the connection (FATAL, PANIC): then the commit may have happened before. Everything else
 * broke on the way, with the outcome unknown.
 */
export function sqlFailure(error: unknown): SqlFailure {
  const { severity, code, message } = error as { severity?: unknown; code?: unknown; message?: unknown };
  const answered = severity === 'ERROR' && typeof code === 'string';
  const state = answered ? code : '';
  return {
    undone: answered || error instanceof NotSentError,
    again: state === '40P01' || state === '40001',
    // Data exceptions, constraints, program limits, and what a trigger raises.
    ofOneRow: ['22', '23', '54', 'P0'].includes(state.slice(0, 2)),
    reason: `${String(message || error)}${typeof code === 'string' ? ` (${code})` : ''}`,
  };
}
