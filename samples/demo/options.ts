import { parseArgs } from 'node:util';

export interface DemoOptions {
  /** Of a running cluster; undefined: the demo brings its own. */
  readonly servers: string | undefined;
  readonly cluster: string;
  /** Where the running cluster keeps its state, to check it there. */
  readonly database: string | undefined;
  readonly accounts: number;
  /** Stop after so many, if that is sooner. */
  readonly transfers: number;
  readonly seconds: number;
  /** Transfers under way at a time. */
  readonly callers: number;
  readonly plain: boolean;
}

export const USAGE = `npm run demo [-- options]

A bank: transfers between accounts while silos come and go, and then the proof that no cent is missing.
Without --servers on three silos in this process, of which one crashes and one leaves and joins.

  --servers <urls>     run against the silos that are on this NATS: nats://host:4222, several with commas
  --cluster <name>     the cluster's name there (granary)
  --database <url>     its PostgreSQL, to check the money there too
  --accounts <n>       accounts of the bank (1000)
  --seconds <n>        how long transfers are made (8)
  --transfers <n>      stop after so many transfers, if that is sooner
  --callers <n>        transfers under way at a time (48)
  --plain              plain lines, also on a terminal
  --help               this text

Exit code: 0 when every cent is there, 1 when not, 2 for a wrong option.
`;

const STRING = { type: 'string' } as const;
const FLAG = { type: 'boolean' } as const;

/** Reads the command line; throws an error that says what is wrong with it. Undefined: help is wanted. */
export function readOptions(args: readonly string[]): DemoOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ servers: STRING, cluster: STRING, database: STRING },
      ...{ accounts: STRING, seconds: STRING, transfers: STRING, callers: STRING },
      ...{ plain: FLAG, help: FLAG },
    },
  });
  if (values.help) return undefined;
  const { servers, cluster, database } = values;
  if (servers === undefined && (cluster ?? database) !== undefined) {
    throw new Error(
      `--${cluster === undefined ? 'database' : 'cluster'} is of a running cluster: give --servers too`,
    );
  }
  return {
    servers,
    cluster: cluster ?? 'granary',
    database,
    accounts: count('accounts', values.accounts, 1_000, 2, 100_000),
    transfers: count('transfers', values.transfers, Number.MAX_SAFE_INTEGER, 1, Number.MAX_SAFE_INTEGER),
    seconds: count('seconds', values.seconds, 8, 1, 3_600),
    callers: count('callers', values.callers, 48, 1, 10_000),
    plain: values.plain ?? false,
  };
}

function count(
  name: string,
  text: string | undefined,
  fallback: number,
  least: number,
  most: number,
): number {
  const value = text === undefined ? fallback : Number(text);
  if (Number.isSafeInteger(value) && value >= least && value <= most && text?.trim() !== '') return value;
  throw new Error(`--${name} is '${text}'; it must be a whole number from ${least} to ${most}`);
}
