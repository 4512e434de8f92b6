import type { Place } from './asked.ts';
import { build, commitNamed } from './build.ts';
import { parsed, run, WrongInput } from './input.ts';
import { chosen, MEASURES, type Measure } from './measures.ts';
import { profile } from './profile.ts';
import { alternate, type Result, results } from './rounds.ts';
import { startServices } from './services.ts';
import { machine, reached, table } from './table.ts';

const HELP = `npm run bench -- [options]

Measures Granary and a baseline in turn, and prints medians and the ratio between them, beside the goal
that the project has for them and the floor that it promises. \`npm run bench:check\` compares two
commits and fails.

  --only <name>       only this measure; may be given several times
                      ${MEASURES.map(({ name }) => name).join(', ')}
  --rounds <n>        rounds of each side, 5 by default
  --json              the results as JSON
  --check             exit code 1 when a floor is missed
  --against <commit>  compare with Granary as it was at a commit, not with the baselines
  --profile           the hottest functions of each program instead
  --help              this text
`;

const { values: options } = parsed({
  options: {
    only: { type: 'string', multiple: true },
    rounds: { type: 'string' },
    json: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    against: { type: 'string' },
    profile: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (options.help) console.log(HELP);
else await run(main);

async function main(): Promise<void> {
  const measures = chosen(options.only);
  const rounds = Number(options.rounds ?? 5);
  if (!Number.isInteger(rounds) || rounds < 1) throw new WrongInput('--rounds takes a whole number from 1');
  refuseTogether();
  const { against, profile: profiled } = options;
  const commit = against === undefined ? undefined : commitNamed(against);
  const services = await startServices(measures);
  const granary = await services.place(build());
  if (profiled) return await printProfiles(measures, granary);
  const baseline = await services.place(commit === undefined ? granary.folder : build(commit));
  const places = { granary, baseline };
  const rows: Result[] = [];
  for (const measure of measures) {
    process.stderr.write(`${measure.name} …\n`);
    const compared = against === undefined ? measure : { ...measure, baseline: measure.granary, against };
    rows.push(
      ...results(compared, await alternate(compared, places, { counted: rounds }), against !== undefined),
    );
  }
  print(rows, rounds);
  if (options.check && rows.some((row) => reached(row, row.row.floor) === false)) process.exitCode = 1;
}

function refuseTogether(): void {
  // Floors are about baselines: against another commit nearly every ratio is under them.
  if (options.check && options.against !== undefined)
    throw new WrongInput('--check does not go with --against');
  if (!options.profile) return;
  // Nothing is compared, nor counted.
  for (const name of ['json', 'rounds', 'check', 'against'] as const)
    if (options[name]) throw new WrongInput(`--profile does not go with --${name}`);
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

function print(rows: readonly Result[], rounds: number): void {
  if (!options.json) {
    console.log(`${machine()}; medians of ${rounds} rounds\n`);
    console.log(table(rows, options.against));
    return;
  }
  const ours = options.against === undefined;
  const results = rows.map(({ row, ...result }) => ({
    ...{ ...result, ...row },
    // A goal is about the baseline, not about another commit.
    ...(ours && { goalReached: reached({ row, ...result }, row.goal) }),
    ...(ours && { floorReached: reached({ row, ...result }, row.floor) }),
  }));
  console.log(JSON.stringify({ date: new Date().toISOString(), machine: machine(), rounds, results }));
}
