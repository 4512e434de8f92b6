import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Program } from '../support/processes.ts';
import type { Side } from './measures.ts';

/** Where a side's programs are compiled, and what they find in their environment. */
export interface Place {
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** Process ids of servers between the programs, whose processor time is told by itself. */
  readonly servers?: readonly number[];
  /** More options of Node. */
  readonly node?: readonly string[];
}

/**
 * What a measurement found. Of several programs that are asked, numbers are added up. Beside what the
 * programs say: `cpuUs`, microseconds of processor time for each call, of all programs of the side, and
 * `serverUs`, of the servers between them.
 */
export type Sample = Readonly<Record<string, number>>;

const MEASURE_TIMEOUT_MS = 120_000;

let clusters = 0;

/** The programs of one side, started when it is first asked. They share no cluster with the other side's. */
export class Asked {
  readonly #side: Side;
  readonly #place: Place;
  readonly #fresh: boolean;
  readonly #cluster = `bench-${++clusters}`;
  #programs: Program[] = [];

  constructor(side: Side, place: Place, fresh = false) {
    this.#side = side;
    this.#place = place;
    this.#fresh = fresh;
  }

  /** One measurement; the first starts the programs. */
  async measured(request: object = this.#side.request): Promise<Sample> {
    if (this.#fresh) await this.stop();
    if (this.#programs.length === 0) await this.#start();
    const asking = this.#side.askAll ? 0 : this.#programs.length - 1;
    const [serving, calling] = [this.#programs.slice(0, asking), this.#programs.slice(asking)];
    const before = await this.#counted(serving);
    const sample = added(await answers(calling, request));
    const after = await this.#counted(serving);
    const all = added([after, sample]);
    if (sample.calls === undefined) return all;
    const cpuUs = (sample.cpuUs ?? 0) + (after.cpuUs ?? 0) - (before.cpuUs ?? 0);
    const serverUs = after.serverUs - before.serverUs;
    return { ...all, cpuUs: cpuUs / sample.calls, serverUs: serverUs / sample.calls };
  }

  /** What the programs that serve, and the servers, have counted so far. */
  async #counted(serving: readonly Program[]): Promise<Sample & { serverUs: number }> {
    const sums = added(await answers(serving, {}));
    const servers = this.#place.servers ?? [];
    return { ...sums, serverUs: servers.reduce((sum, pid) => sum + processorUs(pid), 0) };
  }

  async #start(): Promise<void> {
    const { folder, node = [] } = this.#place;
    const env = { ...this.#place.env, CLUSTER: this.#cluster };
    const options = ['--expose-gc', ...(this.#side.node ?? []), ...node];
    for (const [index, name] of this.#side.programs.entries()) {
      const same = this.#side.programs.indexOf(name) < index;
      const args = options.map((option) => option.replace('%', same ? `${name}-${index + 1}` : name));
      const program = new Program(process.execPath, { args: [...args, join(folder, `${name}.js`)], env });
      this.#programs.push(program);
      await program.ready(/^ready$/);
    }
  }

  /** Ends them in order: a profile is written at the exit. */
  async stop(): Promise<void> {
    for (const program of this.#programs) program.sigterm();
    await Promise.all(this.#programs.map((program) => program.exited));
    this.#programs = [];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Asks programs at once. */
function answers(programs: readonly Program[], request: object): Promise<Sample[]> {
  return Promise.all(
    programs.map(async (program) => {
      program.send(request);
      const [, json] = await program.line(/^measured (.*)$/, MEASURE_TIMEOUT_MS);
      return JSON.parse(json as string) as Sample;
    }),
  );
}

/** Processor time that a process has taken; where nothing tells, it is not a number. */
function processorUs(pid: number): number {
  if (process.platform !== 'linux') return Number.NaN;
  // `pid (name) state …`: the 14th and 15th are user and system time, in hundredths of a second.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

function added(samples: readonly Sample[]): Sample {
  const sum: Record<string, number> = {};
  for (const sample of samples)
    for (const [field, value] of Object.entries(sample)) sum[field] = (sum[field] ?? 0) + value;
  return sum;
}
