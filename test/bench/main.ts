import { parseArgs } from 'node:util';
import { ensureServers } from '../support/binaries.ts';
import { startNats } from '../support/nats-server.ts';
import { startPostgres } from '../support/postgres.ts';
import { stopPrograms } from '../support/processes.ts';
import { build } from './build.ts';
import { MEASURES, type Measure } from './measures.ts';
import { profile } from './profile.ts';
import { alternate, type Place, type Result } from './rounds.ts';
import { machine, reached, table } from './table.ts';

const HELP = `npm run bench -- [options]

Measures Granary and a baseline in turn, and prints medians and the ratio between them.

  --only <name>       only this measure; may be given several times
                      ${MEASURES.map(({ name }) => name).join(', ')}
  --rounds <n>        rounds of each side, 5 by default
  --json              the results as JSON
  --check             exit code 1 when a floor is missed
  --against <commit>  compare with Granary as it was at a commit, not with the baselines
  --profile           the hottest functions of each program instead
  --help              this text
`;

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    against: { type: 'string' },
    profile: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

/** Connections to PostgreSQL, on both sides. */
const POOL_SIZE = 4;

if (options.help) console.log(HELP);
else await main().finally(stopPrograms);

async function main(): Promise<void> {
  const measures = chosen(options.only);
  const rounds = Number(options.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a whole number from 1');
  const { against, profile: profiled } = options;
  const granary: Place = { folder: build(), env: await startServers(measures) };
  if (profiled) return await printProfiles(measures, granary);
  const baseline = against === undefined ? granary : { ...granary, folder: build(against) };
  const results: Result[] = [];
  for (const measure of measures) {
    process.stderr.write(`${measure.name} …\n`);
    const compared = against === undefined ? measure : { ...measure, baseline: measure.granary, against };
    results.push(...(await alternate(compared, { granary, baseline }, rounds)));
  }
  print(results, rounds);
  if (options.check && results.some((result) => reached(result) === false)) process.exitCode = 1;
}

function chosen(names: readonly string[] = MEASURES.map(({ name }) => name)): Measure[] {
  return names.map((name) => {
    const measure = MEASURES.find((each) => each.name === name);
    if (!measure) throw new Error(`there is no measure '${name}'; see --help`);
    return measure;
  });
}

async function startServers(measures: readonly Measure[]): Promise<NodeJS.ProcessEnv> {
  const needs = (program: string) =>
    measures.some(({ granary, baseline }) => [...granary.programs, ...baseline.programs].includes(program));
  const env: NodeJS.ProcessEnv = { POOL_SIZE: `${POOL_SIZE}`, NODE_ENV: 'production' };
  if (needs('remote-silo')) {
    ensureServers(['nats']);
    env.NATS_URL = (await startNats()).url;
  }
  if (needs('saves')) {
    ensureServers(['postgres']);
    env.DATABASE_URL = await (await startPostgres({ settings: { fsync: 'on' } })).createDatabase();
  }
  return env;
}

async function printProfiles(measures: readonly Measure[], place: Place): Promise<void> {
  for (const measure of measures) {
    for (const [program, functions] of await profile(measure, place)) {
      console.log(`\n${measure.name}: ${program}`);
      for (const { what, share } of functions)
        console.log(`${(share * 100).toFixed(1).padStart(5)} %  ${what}`);
    }
  }
}

function print(results: readonly Result[], rounds: number): void {
  if (options.json) {
    const rows = results.map(({ row, ...result }) => ({
      ...result,
      ...row,
      reached: reached({ row, ...result }),
    }));
    console.log(
      JSON.stringify({ date: new Date().toISOString(), machine: machine(), rounds, results: rows }),
    );
    return;
  }
  console.log(`${machine()}; medians of ${rounds} rounds\n`);
  console.log(table(results, 'Granary', options.against));
}
