import type { ServerName } from '../support/binaries.ts';
import { WrongInput } from './input.ts';

/** One of the two things that a measure compares: programs to start, the last of which does the measuring. */
export interface Side {
  readonly programs: readonly string[];
  /** What it is asked for in every round. */
  readonly request: object;
  /** All programs are asked at once, not only the last. */
  readonly askAll?: boolean;
  /** More options of Node. */
  readonly node?: readonly string[];
}

/** What a number must reach, or not exceed when less is better: itself, or its ratio to the baseline's. */
export interface Bound {
  readonly ratio?: number;
  readonly value?: number;
}

/** One number of a measurement, as a row of the table. */
export interface Row {
  /** Its name in what the program answers. */
  readonly field: string;
  readonly title: string;
  readonly unit: string;
  /** Whether more of it is better. */
  readonly more: boolean;
  /** What counts is the worst round, not the median of them. */
  readonly worst?: boolean;
  /** The baseline does nothing like it, and is only told beside it: there is no ratio between them. */
  readonly alone?: boolean;
  /** Steady enough for `bench:check` to judge it. */
  readonly steady?: boolean;
  /** What the project wants. */
  readonly goal?: Bound;
  /** What it promises, on any machine: `--check` fails under it. */
  readonly floor?: Bound;
}

export interface Measure {
  readonly name: string;
  readonly granary: Side;
  readonly baseline: Side;
  /** What the baseline is. */
  readonly against: string;
  readonly rows: readonly Row[];
  readonly needs?: readonly ServerName[];
  /** New processes for every round, after no warm-up: what is measured stays in their memory. */
  readonly fresh?: boolean;
  /** Both sides are asked of the same processes. */
  readonly together?: boolean;
}

const RATE = { field: 'perSecond', unit: '/s', more: true, steady: true };
const MS = 1_000;

export const MEASURES: readonly Measure[] = [
  remote('remote-1', 1, [
    {
      ...{ field: 'medianUs', title: 'remote call, 1 caller: median', unit: 'µs', more: false },
      ...{ steady: true, goal: { ratio: 0.75 }, floor: { ratio: 1.2 } },
    },
    { field: 'p99Us', title: 'remote call, 1 caller: p99', unit: 'µs', more: false, goal: { ratio: 1 } },
  ]),
  remote('remote-64', 64, [{ ...RATE, title: 'remote calls, 64 callers', goal: { ratio: 7 } }]),
  remote('remote-512', 512, [
    { ...RATE, title: 'remote calls, 512 callers', goal: { ratio: 15 }, floor: { ratio: 4 } },
  ]),
  local('local', 'async method', false, {
    ...{ ...RATE, title: 'local calls, 64 callers', goal: { ratio: 0.06, value: 1_000_000 } },
  }),
  local('local-1kb', 'structuredClone + async method', true, {
    ...{ ...RATE, title: 'local calls with a 1 kB object', goal: { ratio: 0.4 } },
  }),
  activations('activations', false, {
    ...{ ...RATE, title: 'first activations, no store', goal: { value: 150_000 } },
  }),
  activations('activations-store', true, {
    ...{ ...RATE, title: 'first activations, memory store', goal: { value: 100_000 } },
  }),
  heap(),
  {
    name: 'saves',
    granary: { programs: ['saves'], request: { callers: 512, ms: 2 * MS } },
    baseline: { programs: ['upserts'], request: { callers: 512, ms: 2 * MS } },
    against: 'one upsert per write',
    rows: [{ ...RATE, title: 'saved increments, 512 grains', goal: { ratio: 8 }, floor: { ratio: 4 } }],
    needs: ['postgres'],
  },
  million(),
  hot(),
  streams(),
  shortStreams(),
  three(),
  start(),
];

function remote(name: string, callers: number, rows: readonly Row[]): Measure {
  const request = { callers, ms: MS };
  return {
    ...{ name, rows, against: 'nats.request()', needs: ['nats'] },
    granary: { programs: ['remote-silo', 'remote-caller'], request },
    baseline: { programs: ['nats-echo', 'nats-caller'], request },
  };
}

function local(name: string, against: string, order: boolean, row: Row): Measure {
  const request = { callers: 64, ms: MS, order };
  return {
    ...{ name, against, rows: [row] },
    granary: { programs: ['local'], request },
    baseline: { programs: ['plain'], request },
  };
}

function activations(name: string, store: boolean, row: Row): Measure {
  const request = { callers: 64, count: 50_000, store };
  return {
    ...{ name, against: 'new object in a Map', rows: [row] },
    granary: { programs: ['activations'], request },
    baseline: { programs: ['plain-activations'], request },
  };
}

function heap(): Measure {
  const row: Row = {
    ...{ field: 'bytes', title: 'heap per idle activation', unit: 'B', more: false },
    ...{ steady: true, goal: { value: 900 } },
  };
  return {
    ...{ name: 'heap', against: 'object in a Map', rows: [row], fresh: true },
    granary: { programs: ['heap'], request: { count: 100_000, plain: false } },
    baseline: { programs: ['heap'], request: { count: 100_000, plain: true } },
  };
}

/** Calls among very many idle activations, against the same among few. */
function million(): Measure {
  const side = (count: number): Side => ({
    ...{ programs: ['idle'], node: ['--max-old-space-size=4000'] },
    request: { count, perSecond: 20_000, ms: MS },
  });
  const us = { unit: 'µs', more: false };
  const stop = { unit: 'ms', more: false, worst: true, goal: { value: 100 } };
  return {
    ...{ name: 'million', against: '1,000 idle activations' },
    ...{ granary: side(1_000_000), baseline: side(1_000) },
    rows: [
      {
        ...{ ...us, field: 'p99Us', title: 'a million idle activations: p99 of local calls' },
        ...{ goal: { ratio: 1.5 } },
      },
      { ...us, field: 'medianUs', title: '  their median' },
      { field: 'perSecond', title: '  local calls, 64 callers', unit: '/s', more: true },
      { ...stop, field: 'pauseMs', title: '  longest stop of the collector' },
      { ...stop, field: 'makingPauseMs', title: '  longest while they were made' },
    ],
  };
}

function hot(): Measure {
  const side = (grains: number): Side => ({
    ...{ programs: ['remote-silo', 'remote-caller'], request: { callers: 512, ms: MS, grains } },
  });
  const row: Row = { ...RATE, title: 'one hot grain, 512 remote callers' };
  return {
    ...{ name: 'hot', against: '1,000 grains', needs: ['nats'], together: true },
    ...{ granary: side(1), baseline: side(1_000) },
    rows: [{ ...row, goal: { ratio: 0.6 }, floor: { ratio: 0.4 } }],
  };
}

function streams(): Measure {
  const side = (streaming: boolean): Side => ({
    ...{ programs: ['streams-silo', 'streams-reader'], request: { streaming, ms: 3 * MS } },
  });
  const us = { unit: 'µs', more: false };
  return {
    ...{ name: 'streams', against: 'the same, no stream', needs: ['nats'], together: true },
    ...{ granary: side(true), baseline: side(false) },
    rows: [
      { ...us, field: 'p99Us', title: 'calls beside a stream of 8 MB items: p99', goal: { ratio: 3 } },
      { ...us, field: 'medianUs', title: '  their median' },
      { field: 'megabytes', title: '  the stream', unit: 'MB/s', more: true, alone: true },
      {
        ...{ field: 'suspicions', title: '  silos suspected', unit: '', more: false, worst: true },
        ...{ alone: true, goal: { value: 0 }, floor: { value: 0 } },
      },
    ],
  };
}

function shortStreams(): Measure {
  const request = { callers: 64, ms: MS, items: 10 };
  return {
    ...{ name: 'short-streams', against: 'nats requestMany()', needs: ['nats'] },
    granary: { programs: ['short-streams-silo', 'short-streams-reader'], request },
    baseline: { programs: ['nats-stream', 'nats-stream-reader'], request },
    rows: [{ ...RATE, title: 'streams of 10 numbers, 64 readers' }],
  };
}

/** What a remote call costs where every process calls and is called, against a caller and a silo. */
function three(): Measure {
  const us = { unit: 'µs', more: false };
  return {
    ...{ name: 'three', against: 'a client and a silo', needs: ['nats'] },
    granary: {
      ...{ programs: ['three-silo', 'three-silo', 'three-silo'], askAll: true },
      request: { callers: 512, ms: MS, silos: 3 },
    },
    baseline: { programs: ['remote-silo', 'remote-caller'], request: { callers: 512, ms: MS } },
    rows: [
      {
        ...{ ...us, field: 'cpuUs', title: 'three silos: processor time of a remote call' },
        ...{ goal: { ratio: 1.15 }, floor: { ratio: 2 } },
      },
      { ...us, field: 'serverUs', title: '  of the nats-server, for each call' },
      { field: 'perSecond', title: '  remote calls, 512 callers in each', unit: '/s', more: true },
    ],
  };
}

function start(): Measure {
  const ms = { unit: 'ms', more: false, steady: true, alone: true };
  return {
    ...{ name: 'start', against: 'an empty process', fresh: true },
    granary: { programs: ['start'], request: {} },
    baseline: { programs: ['nothing'], request: {} },
    rows: [
      { ...ms, field: 'startMs', title: 'Silo.start embedded, to the first answer', goal: { value: 60 } },
      { ...ms, field: 'importMs', title: "import 'granary'", goal: { value: 120 } },
    ],
  };
}

/** Those with the names, or all. */
export function chosen(names: readonly string[] | undefined, among = MEASURES): readonly Measure[] {
  if (!names) return among;
  return names.map((name) => {
    const measure = among.find((each) => each.name === name);
    if (measure) return measure;
    const known = MEASURES.some((each) => each.name === name);
    throw new WrongInput(
      known
        ? `'${name}' is not judged by bench:check; see --help`
        : `there is no measure '${name}'; see --help`,
    );
  });
}
