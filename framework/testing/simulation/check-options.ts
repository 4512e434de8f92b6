import { InvalidConfigError } from '../../errors.ts';
import { isNodeName } from '../../identity/silo-address.ts';
import { isGrainStore, STORE_METHODS } from '../../storage/grain-store.ts';
import { currentHost } from './host.ts';
import type { SimulateOptions } from './simulate.ts';
import { FAULTS, type Fault, type FaultKind } from './swarm.ts';

const MOST_SILOS = 10_000;
const OPTIONS = ['seed', 'silos', 'grains', 'options', 'stores', 'faults', 'maxMs', 'trace'];
/** Hosts of every simulation. */
const TAKEN = ['client', 'store', 'story'];

/** Throws `InvalidConfigError` for options that would simulate something else than was meant. */
export function checkOptions(options: SimulateOptions, story: unknown): void {
  const { seed, grains, stores = {}, faults, maxMs, trace } = options;
  if (currentHost()) refuse('a simulation cannot run within another one');
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined) refuse(`there is no option '${unknown}'; there are: ${OPTIONS.join(', ')}`);
  if (typeof story !== 'function')
    refuse('the story is missing: simulate(options, async (cluster) => { … })');
  if (!Number.isSafeInteger(seed) || seed < 0 || seed > 2 ** 52) {
    refuse(`seed is ${String(seed)}; it must be a whole number from 0 to 2^52`);
  }
  if (!Array.isArray(grains) || grains.length === 0) {
    refuse('grains is empty; list the grain classes that the silos can activate');
  }
  if (maxMs !== undefined && !(typeof maxMs === 'number' && maxMs > 0)) {
    refuse(`maxMs is ${String(maxMs)}; it must be a number above 0`);
  }
  if (trace !== undefined && typeof trace !== 'function')
    refuse('trace is not a function, told line by line');
  for (const [name, store] of Object.entries(stores)) {
    if (!isGrainStore(store)) refuse(`store '${name}' is no GrainStore: one has ${STORE_METHODS.join(', ')}`);
  }
  checkFaults(faults);
}

/** The names of the silos to start with. */
export function siloNames(silos: number | readonly string[]): readonly string[] {
  if (typeof silos === 'number') {
    if (Number.isInteger(silos) && silos >= 1 && silos <= MOST_SILOS) return numbered(silos);
    refuse(`silos is ${silos}; it must be a whole number from 1 to ${MOST_SILOS}, or names`);
  }
  if (!Array.isArray(silos) || silos.length === 0) refuse('silos is empty; name at least one');
  for (const name of silos) {
    if (!isNodeName(name)) refuse(`silo '${String(name)}': no name for a silo`);
    if (TAKEN.includes(name)) refuse(`silo '${name}': that name is taken; name the silo otherwise`);
  }
  if (new Set(silos).size < silos.length) refuse(`silos ${silos.join(', ')}: a name is there twice`);
  return silos;
}

/**
 * Throws `InvalidConfigError` when a change of conditions names one that there is not, or gives it no
 * possible value: a misspelt fault would break nothing.
 */
export function checkConditions<C extends object>(now: C, change: Partial<C>): void {
  for (const [name, value] of Object.entries(change)) {
    if (!(name in now)) refuse(`no condition '${name}'; there are: ${Object.keys(now).join(', ')}`);
    const most = name.endsWith('Ms') ? Number.MAX_VALUE : 1;
    if (typeof value === 'number' && value >= 0 && value <= most) continue;
    refuse(`${name} is ${String(value)}; it must be ${most === 1 ? 'from 0 to 1' : '0 or more'}`);
  }
}

/** Not NaN above all: with it, nothing would happen, or at no time. */
export function checkNumber(name: string, value: number, least = Number.NEGATIVE_INFINITY): void {
  if (Number.isFinite(value) && value >= least) return;
  refuse(`${name} is ${String(value)}; it must be a number${least === 0 ? ', 0 or more' : ''}`);
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, i) => (count > 26 ? `silo-${i}` : String.fromCharCode(97 + i)));
}

function checkFaults(faults: SimulateOptions['faults']): void {
  if (faults === undefined || faults === 'swarm') return;
  if (!Array.isArray(faults)) refuse(`faults is ${String(faults)}; it must be 'swarm' or a list`);
  const plan = faults.filter((fault) => typeof fault === 'object' && fault !== null) as readonly Fault[];
  if (plan.length > 0 && plan.length < faults.length) {
    refuse('faults has kinds and whole faults; it must be a list of the ones or of the others');
  }
  const kinds = plan.length > 0 ? plan.map(({ kind }) => kind) : (faults as readonly FaultKind[]);
  const stranger = kinds.findIndex((kind) => !FAULTS.includes(kind));
  if (stranger >= 0) refuse(`no fault '${String(kinds[stranger])}'; there are: ${FAULTS.join(', ')}`);
  for (const { kind, atMs, lastsMs, draw } of plan) {
    if ([atMs, lastsMs, draw].every((number) => Number.isFinite(number) && number >= 0)) continue;
    refuse(`the fault '${kind}' needs atMs, lastsMs and draw, numbers from 0 on`);
  }
}

function refuse(why: string): never {
  throw new InvalidConfigError(`simulate: ${why}`);
}
