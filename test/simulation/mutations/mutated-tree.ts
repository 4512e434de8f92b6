import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Mutation } from './mutations.ts';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** What a simulated story needs of this repository. */
const NEEDED = ['framework', 'persistence', 'test/simulation/sweep', 'test/simulation/mutations'];
const SETTINGS = ['package.json', 'tsconfig.json'];

/** The repository's code once more, in a folder of its own, with one mistake in it, or none. */
export class MutatedTree {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(mutation?: Mutation): Promise<MutatedTree> {
    const path = await mkdtemp(join(tmpdir(), 'granary-mutation-'));
    for (const part of [...NEEDED, ...SETTINGS]) {
      await mkdir(dirname(join(path, part)), { recursive: true });
      await cp(join(ROOT, part), join(path, part), { recursive: true });
    }
    await symlink(join(ROOT, 'node_modules'), join(path, 'node_modules'));
    if (mutation) await writeFile(join(path, mutation.file), await mutated(mutation));
    return new MutatedTree(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}

/** The file with the mistake in it. Throws when it is not known where it belongs. */
export async function mutated({ name, file, replace, by }: Mutation): Promise<string> {
  const parts = (await readFile(join(ROOT, file), 'utf8')).split(replace);
  if (parts.length === 2) return parts.join(by);
  const text = `is ${parts.length - 1} times in ${file}, not once:\n${replace}`;
  throw new Error(`'${name}' cannot be tried; what it replaces ${text}`);
}
