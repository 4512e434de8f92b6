import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TemporaryFolder } from '../support/processes.ts';
import { Asked, type Place } from './asked.ts';
import type { Measure } from './measures.ts';

/** What `node --cpu-prof` writes, as far as it is read here. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
}

export interface Hot {
  readonly what: string;
  /** Of the time in which the process did anything. */
  readonly share: number;
}

const MEASUREMENTS = 5;

/** The hottest functions of each of a measure's programs, by their own time, after the start. */
export async function profile(measure: Measure, place: Place): Promise<Map<string, Hot[]>> {
  const { path } = new TemporaryFolder();
  const node = ['--cpu-prof', `--cpu-prof-dir=${path}`, '--cpu-prof-name=%.cpuprofile'];
  const asked = new Asked(measure.granary, { ...place, node });
  for (let round = 0; round < MEASUREMENTS; round++) await asked.measured();
  await asked.stop();
  return new Map(
    readdirSync(path).map((file) => [
      file.replace('.cpuprofile', ''),
      hottest(JSON.parse(readFileSync(join(path, file), 'utf8')) as CpuProfile),
    ]),
  );
}

function hottest({ nodes, samples }: CpuProfile): Hot[] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const counts = new Map<string, number>();
  for (const id of samples) {
    const name = names.get(id) as string;
    if (name !== '(idle)') counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const busy = [...counts.values()].reduce((sum, count) => sum + count, 0);
  return [...counts]
    .map(([what, count]) => ({ what, share: count / busy }))
    .sort((a, b) => b.share - a.share)
    .slice(0, 15);
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][0]['callFrame']): string {
  const name = functionName || '(anonymous)';
  const place = url.replace(/^file:\/\/\/.*?(?=(framework|persistence|node_modules|test)\/)/, '');
  return place === '' ? name : `${name} ${place}:${lineNumber + 1}`;
}
