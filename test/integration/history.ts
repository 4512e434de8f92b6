import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeAddress } from '../../framework/identity/silo-address.ts';
import { Invariants, type InvariantsOptions } from '../../framework/testing/invariants/invariants.ts';
import type { Observation } from '../../framework/testing/invariants/observation.ts';
import { checkLinearizable } from '../../framework/testing/linearizability/check-linearizable.ts';
import { type CounterInput, counterModel } from '../../framework/testing/linearizability/counter-model.ts';
import type { Operation } from '../../framework/testing/linearizability/sequential-model.ts';
import type { Books } from './books.ts';
import type { Chronicle } from './chronicle.ts';
import type { HistoryLine } from './programs/recorder.ts';

/**
 * What real processes leave more time for than a simulation: a machine that is shared stalls them all, and
 * processes differ by a little in what they know. Grace and calm are from agreement on, which a test finds
 * later than it is there.
 */
const OPTIONS: Partial<InvariantsOptions> = { slackMs: 1_000, graceMs: 1_000, calmMs: 6_000 };

/** Violations that a failure shows. */
const SHOWN = 10;

/** Whatever it is that ends an agreement, as far as silos tell. */
const DISTURBANCES: ReadonlySet<string> = new Set([
  'viewChanged',
  'siloSuspected',
  'awayNoticed',
  'connectionChanged',
]);

/** One history of what nodes, the database and the test have written down, in the order of time. */
export function mergeHistory(
  folder: string,
  chronicle: Chronicle,
  applied: readonly Observation[],
): Observation[] {
  const told = readdirSync(folder).flatMap((file) => readFile(join(folder, file)));
  const ends = new Map<NodeAddress | '', number>();
  for (const { node, at } of told) ends.set(node, Math.max(at, ends.get(node) ?? 0));
  // A signal takes its time: what a process still did after it was sent, it did.
  const done = chronicle.entries.map((entry) =>
    entry.event.type === 'nodeCrashed'
      ? { ...entry, at: Math.max(entry.at, ends.get(entry.node) ?? 0) }
      : entry,
  );
  // Sorting keeps the order of equals: a node's own, and first what the database did, which it then hears.
  const all = [...inTime(applied, told), ...done, ...told].sort((a, b) => a.at - b.at);
  return withAgreements(all, chronicle);
}

/**
 * The database's clock is the one that people set, so it is known to a millisecond at best; but nobody hears
 * of a write before it is done.
 */
function inTime(applied: readonly Observation[], told: readonly Observation[]): Observation[] {
  const heard = new Map<string, number>();
  for (const { at, event } of told) {
    if (event.type === 'recordSaved') heard.set(`${event.grain} ${event.record} ${event.etag}`, at);
  }
  return applied.map((entry) => {
    if (entry.event.type !== 'recordApplied') return entry;
    const { grain, record, etag } = entry.event;
    return { ...entry, at: Math.min(entry.at, heard.get(`${grain} ${record} ${etag}`) ?? entry.at) };
  });
}

/** What is wrong with a history, in words: nothing, it is hoped. */
export function violations(history: readonly Observation[]): string[] {
  const invariants = new Invariants(OPTIONS);
  const start = history[0]?.at ?? 0;
  const end = history.at(-1)?.at ?? 0;
  const found = history.flatMap((observation) => invariants.observe(observation) ?? []);
  return [...found, ...invariants.finish(end)]
    .slice(0, SHOWN)
    .map(({ invariant, at, message }) => `${invariant}, after ${(at - start).toFixed(1)} ms: ${message}`);
}

/**
 * Whether each counter did what a counter does, as all of its callers saw it. Writes are conditional, so
 * that holds for increments whatever happens to the network; one that is read in a split may tell an old sum.
 */
export function linearizabilityProblem(
  books: readonly Books[],
  { reads }: { reads: boolean },
): string | undefined {
  const operations = books.flatMap((each, index) => operationsOf(each, `caller ${index}`, reads));
  const result = checkLinearizable(counterModel(), operations);
  return result.linearizable === true ? undefined : result.explanation;
}

function operationsOf(
  books: Books,
  caller: string,
  reads: boolean,
): Operation<CounterInput, number | undefined>[] {
  const add = { type: 'add', amount: 1 } as const;
  const added = books.keys.flatMap((key) =>
    books.answers(key).map(({ startedAt, at, count }) => ({
      ...{ caller, key, input: add, invokedAt: startedAt, returned: { at, output: count } },
    })),
  );
  // A write that met another's was refused: it has not taken effect, and never will.
  const unknown = books.failures
    .filter(({ code }) => code !== 'STATE_CONFLICT')
    .map(({ key, startedAt }) => ({ caller, key, input: add, invokedAt: startedAt, returned: undefined }));
  const read = books.reads.map(({ key, startedAt, at, count }) => ({
    ...{ caller, key, input: { type: 'read' } as const, invokedAt: startedAt },
    returned: { at, output: count },
  }));
  return [...added, ...unknown, ...(reads ? read : [])];
}

function readFile(path: string): Observation[] {
  const lines = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as HistoryLine);
  const named = lines.find((line) => 'node' in line);
  // One that was killed before it knew its address has done nothing yet.
  if (!named) return [];
  return lines.flatMap((line) => ('event' in line ? [{ ...line, node: named.node }] : []));
}

/** Adds when silos agreed: from when that was found until something disturbs it. */
function withAgreements(history: readonly Observation[], { agreements }: Chronicle): Observation[] {
  const merged: Observation[] = [];
  const open = [...agreements];
  let agreed = false;
  let disturbedAt = 0;
  const change = (at: number, to: boolean) => {
    if (agreed !== to) merged.push({ at, node: '', event: { type: 'agreementChanged', agreed: to } });
    agreed = to;
  };
  for (const observation of history) {
    for (let next = open[0]; next && next.to <= observation.at; next = open[0]) {
      open.shift();
      if (disturbedAt < next.from) change(next.to, true);
    }
    const { type } = observation.event;
    if (DISTURBANCES.has(type) || type === 'agreementChanged') {
      disturbedAt = observation.at;
      change(observation.at, false);
    }
    if (type !== 'agreementChanged') merged.push(observation);
  }
  return merged;
}
