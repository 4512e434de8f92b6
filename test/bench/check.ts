import { execFileSync } from 'node:child_process';
import { median } from '../support/median.ts';
import { build, commitNamed, ROOT } from './build.ts';
import { parsed, run, WrongInput } from './input.ts';
import { chosen, MEASURES, type Measure, type Row } from './measures.ts';
import { alternate, type Places, type Round } from './rounds.ts';
import { startServices } from './services.ts';
import { columns, machine, rounded } from './table.ts';
import { HEATS_MIN, judged, LOSS_ALLOWED, type Verdict } from './verdict.ts';

const LOSS = Math.round(LOSS_ALLOWED * 100);
const CHECKED = MEASURES.filter(({ rows }) => rows.some(({ steady }) => steady));

const HELP = `npm run bench:check -- [options] [<commit> [<changed>]]

Measures Granary as it is in this tree, or at the commit <changed>, and as it was at <commit>, in turn,
and exits with code 1 when a measure has lost more than ${LOSS} %. Without <commit> this tree is
compared with HEAD when it has changes that are not committed, else with HEAD~1.

  --only <name>       only this measure; may be given several times
                      ${CHECKED.map(({ name }) => name).join(', ')}
  --minutes <n>       what all measures may take together, 10 by default
  --json              the results as JSON
  --help              this text

A measure goes on while it is certain neither that it lost more than ${LOSS} %, nor that it did not: 15 heats
at most, or with --minutes as long as that. It has lost then if it is certain that it lost something, and
likely that it was more than ${LOSS} %; else it is 'undecided', which is no failure.
`;

/**
 * A machine may change its speed by half several times a second (who shares a core with us?), so the sides
 * take turns as quickly as a measure allows.
 */
const SHORT = { ms: 40, count: 5_000 };
const ROUNDS = 30;
const WARM_UP_ROUNDS = 10;
/** Of measures whose rounds have processes of their own: each side is first in one half of them. */
const FRESH_ROUNDS = 2;

const { values: options, positionals } = parsed({
  allowPositionals: true,
  options: {
    only: { type: 'string', multiple: true },
    minutes: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

/** Where nobody says how long it may take: what is undecided then is near to the bound. */
const HEATS_MAX = options.minutes === undefined ? 15 : Number.POSITIVE_INFINITY;

interface Checked extends Verdict {
  readonly name: string;
  readonly row: Row;
  readonly heats: readonly number[];
}

if (options.help) console.log(HELP);
else await run(main);

async function main(): Promise<void> {
  const minutes = Number(options.minutes ?? 10);
  if (!(minutes > 0 && minutes < Number.POSITIVE_INFINITY))
    throw new WrongInput('--minutes takes a number over 0');
  if (positionals.length > 2) throw new WrongInput('two commits at most; see --help');
  const end = performance.now() + minutes * 60_000;
  const measures = chosen(options.only, CHECKED);
  const [commit = before(), changed] = positionals;
  const commitId = commitNamed(commit);
  const changedId = changed === undefined ? undefined : commitNamed(changed);
  const services = await startServices(measures);
  const places = {
    granary: await services.place(build(changedId)),
    baseline: await services.place(build(commitId)),
  };
  const checked: Checked[] = [];
  for (const [index, measure] of measures.entries()) {
    process.stderr.write(`${measure.name} …\n`);
    const left = end - performance.now();
    checked.push(...(await check(measure, places, left / (measures.length - index))));
  }
  print(checked, changed ?? 'this tree', commit);
  if (checked.some(({ verdict }) => verdict === 'lost')) process.exitCode = 1;
}

/** What this tree's changes are compared with. */
function before(): string {
  const parts = ['framework', 'persistence', 'package.json'];
  const args = ['status', '--porcelain', '--', ...parts];
  return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }) === '' ? 'HEAD~1' : 'HEAD';
}

/** Heats until each row of the measure is decided, as many as fit into the time. */
async function check(measure: Measure, places: Places, ms: number): Promise<Checked[]> {
  const request = measure.fresh ? measure.granary.request : { ...measure.granary.request, ...SHORT };
  const side = { ...measure.granary, request };
  const compared = { ...measure, granary: side, baseline: side };
  const rounds = measure.fresh ? { counted: FRESH_ROUNDS } : { counted: ROUNDS, warmUp: WARM_UP_ROUNDS };
  const start = performance.now();
  const heats: Round[][] = [];
  for (;;) {
    heats.push(await alternate(compared, places, rounds));
    const spent = performance.now() - start;
    const over = heats.length >= HEATS_MAX || spent + spent / heats.length > ms;
    const rows = measure.rows
      .filter(({ steady }) => steady)
      .map((row) => checkedRow(measure.name, row, heats, over));
    const enough = heats.length >= HEATS_MIN && rows.every(({ verdict }) => verdict !== 'undecided');
    if (enough || over) return rows;
  }
}

function checkedRow(name: string, row: Row, heats: readonly Round[][], over: boolean): Checked {
  const better = ({ granary, baseline }: Round) => {
    const ratio = (granary[row.field] as number) / (baseline[row.field] as number);
    return row.more ? ratio : 1 / ratio;
  };
  const ratios = heats.map((rounds) => median(rounds.map(better)));
  return { name, row, heats: ratios, ...judged(ratios, over) };
}

function print(checked: readonly Checked[], changed: string, commit: string): void {
  if (options.json) {
    const results = checked.map(({ row, ...result }) => ({ ...row, ...result }));
    console.log(
      JSON.stringify({ date: new Date().toISOString(), machine: machine(), commit, changed, results }),
    );
    return;
  }
  console.log(`${machine()}; ${changed} against ${commit}: 1 is as it was, over 1 is better\n`);
  const lines = checked.map(({ row, heats, estimate, low, high, verdict }) => [
    ...[row.title, rounded(estimate), `${rounded(low)} – ${rounded(high)}`, `${heats.length}`],
    { lost: 'LOST', kept: 'ok', undecided: 'undecided' }[verdict],
  ]);
  console.log(columns([['', 'ratio', 'certain', 'heats', ''], ...lines], [0, 4]));
}
