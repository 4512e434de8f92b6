import { execFileSync, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Attempt, Failure } from './attempt.ts';
import { type Run, run, sizeOf } from './story.ts';
import type { Word } from './worker.ts';

const HELP = `Runs the simulated story with one seed after the other, each twice, and checks every invariant.

  npm run simulate -- [options]

  --seeds <n>     how many seeds (1000)
  --from <n>      the first one (0), or 'commit': from the commit's id
  --minutes <m>   ends after so many minutes, however many seeds are left
  --seed <n>      only this seed
  --trace         with --seed: prints all that happens
  --workers <n>   processes that run seeds at the same time (one for each core)
  --kept          only the runs of test/simulation/seeds.json, which failed once
`;

const OPTIONS = {
  seeds: { type: 'string', default: '1000' },
  from: { type: 'string', default: '0' },
  minutes: { type: 'string' },
  seed: { type: 'string' },
  trace: { type: 'boolean', default: false },
  workers: { type: 'string', default: String(availableParallelism()) },
  kept: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

const values = parsed();

/** Runs that failed once: what they found is mended, and stays so. */
const KEPT: readonly { readonly run: Run; readonly story: string }[] = JSON.parse(
  readFileSync(new URL('../seeds.json', import.meta.url), 'utf8'),
);
const PROGRESS_MS = 10_000;

if (values.help) process.stdout.write(HELP);
else if (values.trace) await trace(whole('seed', values.seed));
else process.exitCode = (await sweep(planned())) ? 0 : 1;

function parsed() {
  try {
    return parseArgs({ options: OPTIONS }).values;
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function refuse(why: string): never {
  process.stderr.write(`${why}\n\n${HELP}`);
  process.exit(2);
}

function planned(): readonly Run[] {
  if (values.kept) return KEPT.map((kept) => kept.run);
  if (values.seed !== undefined) return [runOf(whole('seed', values.seed))];
  if (whole('seeds', values.seeds) === 0) refuse('--seeds 0 would run nothing');
  const first = values.from === 'commit' ? commitNumber() : whole('from', values.from);
  return Array.from({ length: whole('seeds', values.seeds) }, (_, i) => runOf(first + i));
}

function runOf(seed: number): Run {
  return { seed, ...sizeOf(seed) };
}

function whole(name: string, text: string | undefined): number {
  const number = Number(text);
  if (text !== undefined && Number.isSafeInteger(number) && number >= 0) return number;
  return refuse(`--${name} takes a whole number, not ${text ?? 'nothing'}`);
}

/** Each commit tries others. */
function commitNumber(): number {
  const id = execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' });
  return Number.parseInt(id.slice(0, 10), 16);
}

async function trace(seed: number): Promise<void> {
  const report = await run({ ...runOf(seed), trace: (line) => process.stdout.write(`${line}\n`) });
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

/** True when none failed. */
async function sweep(runs: readonly Run[]): Promise<boolean> {
  const startedAt = Date.now();
  const endsAt =
    values.minutes === undefined
      ? Number.POSITIVE_INFINITY
      : startedAt + whole('minutes', values.minutes) * 60_000;
  const sums = { runs: 0, events: 0, virtualMs: 0, failed: 0 };
  const tell = () => {
    const seconds = (Date.now() - startedAt) / 1000;
    const speed = Math.round(sums.events / seconds).toLocaleString('en');
    const hours = (sums.virtualMs / 3_600_000).toFixed(1);
    const of = values.minutes === undefined ? ` of ${runs.length}` : '';
    const seen = `${sums.runs}${of} seeds, each twice, ${hours} h of virtual time, ${speed} events/s`;
    process.stdout.write(`${seconds.toFixed(0).padStart(4)} s: ${seen}, ${sums.failed} failed\n`);
  };
  const progress = setInterval(tell, PROGRESS_MS);
  const queue = runs.values();
  const next = () => (Date.now() < endsAt ? queue.next().value : undefined);
  const workers = Math.min(whole('workers', values.workers), runs.length);
  await Promise.all(
    Array.from({ length: Math.max(workers, 1) }, () =>
      work(next, (attempt) => {
        sums.runs++;
        sums.events += attempt.events;
        sums.virtualMs += attempt.virtualMs * 2;
        if (attempt.failure) sums.failed++;
        if (attempt.failure) report(attempt.failure);
      }),
    ),
  );
  clearInterval(progress);
  tell();
  return sums.failed === 0;
}

/** A process that runs what it is given, until there is nothing more. */
function work(next: () => Run | undefined, done: (attempt: Attempt) => void): Promise<void> {
  const worker = fork(fileURLToPath(new URL('worker.ts', import.meta.url)));
  return new Promise((resolve, reject) => {
    const give = () => {
      const given = next();
      if (given) worker.send(given);
      else worker.disconnect();
    };
    worker.on('message', (word: Word) => {
      if ('failed' in word) return void process.stdout.write(`FAILED ${word.failed}; looking for less\n`);
      done(word.done);
      give();
    });
    worker.on('error', reject);
    worker.on('exit', (code) => {
      if (code) reject(new Error(`a worker ended with code ${code}`));
      else resolve();
    });
    give();
  });
}

function report({ run: { seed, faults = [], silos, callers, keys, ms }, message, stack }: Failure): void {
  const size = `${silos} silos, ${callers} callers, ${keys} keys of each type, ${ms} ms`;
  const lines = [
    '',
    `FAILED ${message}`,
    ...(stack ? ['', ...stack.split('\n').slice(0, 12)] : []),
    '',
    `The shortest story that was found: ${size}, and ${faults.length} faults:`,
    ...faults.map((fault) => `  at ${fault.atMs} ms for ${fault.lastsMs} ms: ${fault.kind}`),
    '',
    'To keep it, for test/simulation/seeds.json:',
    JSON.stringify({ run: { seed, silos, callers, keys, ms, faults }, story: '' }),
    '',
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}
