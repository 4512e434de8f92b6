/** One of the two things that a measure compares: programs to start, the last of which does the measuring. */
export interface Side {
  readonly programs: readonly string[];
  /** What it is asked for in every round. */
  readonly request: object;
}

/** One number of a measurement, as a row of the table. */
export interface Row {
  /** Its name in what the program answers. */
  readonly field: string;
  readonly title: string;
  readonly unit: string;
  /** Whether more of it is better. */
  readonly more: boolean;
  /** The ratio to the baseline that must be reached, or not exceeded when less is better. */
  readonly floor?: number;
}

export interface Measure {
  readonly name: string;
  readonly granary: Side;
  readonly baseline: Side;
  /** What the baseline is. */
  readonly against: string;
  readonly rows: readonly Row[];
  /** New processes for every round, after no warm-up: what is measured stays in their memory. */
  readonly fresh?: boolean;
}

const RATE = { field: 'perSecond', unit: '/s', more: true };
const MS = 1_000;

export const MEASURES: readonly Measure[] = [
  remote('remote-1', 1, [
    { field: 'medianUs', title: 'remote call, 1 caller: median', unit: 'µs', more: false, floor: 1.2 },
    { field: 'p99Us', title: 'remote call, 1 caller: p99', unit: 'µs', more: false },
  ]),
  remote('remote-64', 64, [{ ...RATE, title: 'remote calls, 64 callers' }]),
  remote('remote-512', 512, [{ ...RATE, title: 'remote calls, 512 callers', floor: 4 }]),
  local('local', 'local calls, 64 callers', 'async method', false),
  local('local-1kb', 'local calls with a 1 kB object', 'structuredClone + async method', true),
  activations('activations', 'first activations, no store', false),
  activations('activations-store', 'first activations, memory store', true),
  {
    name: 'heap',
    granary: { programs: ['heap'], request: { count: 100_000, plain: false } },
    baseline: { programs: ['heap'], request: { count: 100_000, plain: true } },
    against: 'object in a Map',
    rows: [{ field: 'bytes', title: 'heap per idle activation', unit: 'B', more: false }],
    fresh: true,
  },
  {
    name: 'saves',
    granary: { programs: ['saves'], request: { callers: 512, ms: 2 * MS } },
    baseline: { programs: ['upserts'], request: { callers: 512, ms: 2 * MS } },
    against: 'one upsert per write',
    rows: [{ ...RATE, title: 'saved increments, 512 grains', floor: 4 }],
  },
];

function remote(name: string, callers: number, rows: readonly Row[]): Measure {
  const request = { callers, ms: MS };
  return {
    ...{ name, rows, against: 'nats.request()' },
    granary: { programs: ['remote-silo', 'remote-caller'], request },
    baseline: { programs: ['nats-echo', 'nats-caller'], request },
  };
}

function local(name: string, title: string, against: string, order: boolean): Measure {
  const request = { callers: 64, ms: MS, order };
  return {
    ...{ name, against, rows: [{ ...RATE, title }] },
    granary: { programs: ['local'], request },
    baseline: { programs: ['plain'], request },
  };
}

function activations(name: string, title: string, store: boolean): Measure {
  const request = { callers: 64, count: 50_000, store };
  return {
    ...{ name, against: 'new object in a Map', rows: [{ ...RATE, title }] },
    granary: { programs: ['activations'], request },
    baseline: { programs: ['plain-activations'], request },
  };
}
