import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MutatedTree } from './mutated-tree.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';
import type { Outcome } from './worker.ts';

const HELP = `Breaks the runtime in one place after the other; the simulated story must find it out.

  npm run mutations -- [options]

  --only <text>   only mutations whose name has this text, or regular expression, in it
  --find <n>      until n seeds catch each (1)
  --seeds <n>     when those that are written down do not, all below this one are tried (60)
  --as-is         without running the unbroken code with the same seeds
`;

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    find: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '60' },
    'as-is': { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

/** A run in which nothing comes to an end is no proof of anything. */
const HANGS_MS = 120_000;

if (values.help) process.stdout.write(HELP);
else process.exitCode = (await proveAll()) ? 0 : 1;

async function proveAll(): Promise<boolean> {
  const only = new RegExp(values.only);
  const chosen = MUTATIONS.filter(({ name }) => only.test(name));
  const catching = new Set<number>();
  let survivors = 0;
  for (const mutation of chosen) {
    const caught = await tryOut(mutation);
    if (caught.length === 0) survivors++;
    const [first] = caught;
    if (first !== undefined) catching.add(first);
  }
  const sound = values['as-is'] || (await isSound([...catching]));
  say(`${chosen.length - survivors} of ${chosen.length} mutations are caught`);
  return sound && survivors === 0;
}

/** The seeds that catch it. Another than is written down will do: each change changes all runs. */
async function tryOut(mutation: Mutation): Promise<number[]> {
  const { name, caughtBy, seeds } = mutation;
  await using tree = await MutatedTree.make(mutation);
  const others = Array.from({ length: Number(values.seeds) }, (_, seed) => seed);
  const caught: number[] = [];
  for await (const outcome of outcomes(tree, [...new Set([...seeds, ...others])])) {
    if ('crash' in outcome) say(`? ${name}: seed ${outcome.seed} did not end: ${outcome.crash}`);
    else if (outcome.failure !== undefined) {
      const { seed, events, failure } = outcome;
      const asExpected = failure.includes(caughtBy);
      const shown = failure.slice(0, 300).replaceAll('\n', ' ');
      say(`${asExpected ? '✓' : '?'} ${name}: seed ${seed}, after ${events} events: ${shown}`);
      if (asExpected && caught.push(seed) >= Number(values.find)) break;
    }
  }
  if (caught.length === 0) say(`✗ ${name}: not caught by '${caughtBy}'`);
  return caught;
}

/** Whether the code as it is comes through the same seeds. */
async function isSound(seeds: readonly number[]): Promise<boolean> {
  await using tree = await MutatedTree.make();
  let sound = true;
  for await (const outcome of outcomes(tree, seeds)) {
    const failure = 'crash' in outcome ? outcome.crash : outcome.failure;
    if (failure === undefined) continue;
    sound = false;
    say(`✗ seed ${outcome.seed} fails without any mutation: ${failure}`);
  }
  if (sound) say(`Unbroken, the code comes through the ${seeds.length} seeds that caught them.`);
  return sound;
}

/** What comes of each seed, in a process of its own. */
async function* outcomes({ path }: MutatedTree, seeds: readonly number[]): AsyncGenerator<Outcome> {
  const worker = fork(join(path, 'test/simulation/mutations/worker.ts'), { cwd: path });
  const exited = once(worker, 'exit');
  try {
    for (const seed of seeds) {
      const tooLong = AbortSignal.timeout(HANGS_MS);
      worker.send(seed);
      const answer = once(worker, 'message', { signal: tooLong }).then(([outcome]) => outcome as Outcome);
      const ended = exited.then(
        ([code]): Outcome => ({ seed, crash: `its process ended with code ${code}` }),
      );
      const outcome = await Promise.race([answer, ended]).catch(
        (error): Outcome => ({ seed, crash: String(error) }),
      );
      yield outcome;
      if ('crash' in outcome) return;
    }
  } finally {
    worker.kill('SIGKILL');
    await exited;
  }
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
