import type { SiloRuntime } from '../runtime/silo-runtime.ts';

/** A silo that runs, for the eyes of tests. */
export interface RunningSilo {
  readonly name: string;
  readonly runtime: SiloRuntime;
}

/**
 * What the silos do not agree on yet, or are still busy with, in words. Silos that cannot reach each other
 * need not agree.
 */
export function disagreements(
  silos: readonly RunningSilo[],
  areCut: (one: string, other: string) => boolean,
): string[] {
  const open: string[] = [];
  const eras = new Map<string, string>();
  for (const { name, runtime } of silos) {
    const { directory, dispatcher, membership } = runtime;
    const present = silos
      .filter((other) => !areCut(name, other.name))
      .map((other) => other.runtime.node.address)
      .sort()
      .join(', ');
    const era = eras.get(present) ?? directory.era.id;
    eras.set(present, era);
    if (era !== directory.era.id) open.push(`${name} is in another era`);
    const seen = [...directory.era.present].sort().join(', ');
    if (seen !== present) open.push(`${name} sees ${seen || 'nobody'} instead of ${present}`);
    else if (!directory.settled) open.push(`${name} waits for the others`);
    else if (dispatcher.waiting > 0) open.push(`${name} places grains`);
    if (membership.view.some((entry) => entry.status === 'joining' && !entry.unreachable)) {
      open.push(`${name} knows of a silo that is joining`);
    }
  }
  return open;
}
