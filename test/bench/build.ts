import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterDeath, TemporaryFolder } from '../support/processes.ts';
import { WrongInput } from './input.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Compiles Granary and the bench's programs into a folder of their own, and returns the folder of the
 * programs. Plain `node` runs them, with Granary as users have it, by the names of its entry points.
 */
export function build(commit?: string): string {
  const source = commit === undefined ? ROOT : checkOut(commit);
  const path = folder();
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  // Types are `npm run check`'s business.
  const args = ['-p', join(source, 'test/bench/tsconfig.json'), '--outDir', path, '--noCheck'];
  execFileSync(tsc, args, { stdio: ['ignore', process.stderr, process.stderr] });
  const text = readFileSync(join(source, 'package.json'), 'utf8');
  writeFileSync(join(path, 'package.json'), text.replaceAll('./dist/', './'));
  return join(path, 'test/bench/programs');
}

/** The full id of a commit. Throws `WrongInput` when there is none of that name. */
export function commitNamed(name: string): string {
  const args = ['rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`];
  const { status, stdout } = spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' });
  if (status !== 0) throw new WrongInput(`there is no commit '${name}'`);
  return stdout.trim();
}

/** Granary as it was at a commit, with the programs as they are now. */
function checkOut(commit: string): string {
  const path = folder();
  const parts = ['framework', 'persistence', 'package.json', 'tsconfig.json', 'tsconfig.build.json'];
  const archive = spawnSync('git', ['archive', commit, ...parts], { cwd: ROOT, maxBuffer: 1 << 30 });
  if (archive.status !== 0)
    throw new WrongInput(`commit ${commit} cannot be measured: ${archive.stderr.toString().trim()}`);
  execFileSync('tar', ['-x', '-C', path], { input: archive.stdout });
  cpSync(join(ROOT, 'test/bench'), join(path, 'test/bench'), { recursive: true });
  return path;
}

/** A new folder, from which packages are found; removed also when the bench is interrupted. */
function folder(): string {
  const { path } = new TemporaryFolder();
  afterDeath('rm -rf "$1"', [path]);
  symlinkSync(join(ROOT, 'node_modules'), join(path, 'node_modules'));
  return path;
}
