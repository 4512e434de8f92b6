import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TemporaryFolder } from '../support/processes.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Compiles Granary and the bench's programs into a folder of their own, and returns the folder of the
 * programs. Plain `node` runs them, with Granary as users have it, by the names of its entry points.
 */
export function build(commit?: string): string {
  const { path } = new TemporaryFolder();
  symlinkSync(join(ROOT, 'node_modules'), join(path, 'node_modules'));
  const source = commit === undefined ? ROOT : checkOut(commit, path);
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  // Types are `npm run check`'s business.
  execFileSync(tsc, ['-p', join(source, 'test/bench/tsconfig.json'), '--outDir', path, '--noCheck']);
  const text = readFileSync(join(source, 'package.json'), 'utf8');
  writeFileSync(join(path, 'package.json'), text.replaceAll('./dist/', './'));
  return join(path, 'test/bench/programs');
}

/** Granary as it was at a commit, with the programs as they are now. */
function checkOut(commit: string, folder: string): string {
  const source = join(folder, 'source');
  const parts = ['framework', 'persistence', 'package.json', 'tsconfig.json', 'tsconfig.build.json'];
  const archive = execFileSync('git', ['archive', commit, '--prefix=source/', ...parts], {
    cwd: ROOT,
    maxBuffer: 1 << 30,
  });
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
  cpSync(join(ROOT, 'test/bench'), join(source, 'test/bench'), { recursive: true });
  return source;
}
