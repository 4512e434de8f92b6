import { InvalidConfigError } from '../../errors.ts';
import { isNodeName } from '../../identity/silo-address.ts';
import { currentHost } from './host.ts';
import type { SimulateOptions } from './simulate.ts';
import { FAULTS, type FaultKind } from './swarm.ts';

const MOST_SILOS = 10_000;
/** Hosts of every simulation. */
const TAKEN = ['client', 'store', 'story'];

/** Throws `InvalidConfigError` for options that would simulate something else than was meant. */
export function checkOptions(options: SimulateOptions): void {
  const { seed, grains, faults, maxMs } = options;
  if (currentHost()) refuse('a simulation cannot run within another one');
  if (!Number.isSafeInteger(seed) || seed < 0 || seed > 2 ** 52) {
    refuse(`seed is ${String(seed)}; it must be a whole number from 0 to 2^52`);
  }
  if (!Array.isArray(grains) || grains.length === 0) {
    refuse('grains is empty; list the grain classes that the silos can activate');
  }
  if (maxMs !== undefined && !(maxMs > 0)) refuse(`maxMs is ${String(maxMs)}; it must be more than 0`);
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

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, i) => (count > 26 ? `silo-${i}` : String.fromCharCode(97 + i)));
}

function checkFaults(faults: SimulateOptions['faults']): void {
  if (faults === undefined || faults === 'swarm') return;
  if (!Array.isArray(faults)) refuse(`faults is ${String(faults)}; it must be 'swarm' or a list`);
  const kinds = faults.map((fault: FaultKind | { kind: FaultKind }) =>
    typeof fault === 'object' ? fault.kind : fault,
  );
  const unknown = kinds.find((kind) => !FAULTS.includes(kind));
  if (unknown !== undefined) refuse(`no fault '${String(unknown)}'; there are: ${FAULTS.join(', ')}`);
}

function refuse(why: string): never {
  throw new InvalidConfigError(`simulate: ${why}`);
}
