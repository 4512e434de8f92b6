import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { InvalidConfigError } from '../framework/errors.ts';

/**
 * The locks of this process. A process id alone cannot tell a lock of ours from that of an earlier process
 * with the same id.
 */
const held = new Set<string>();

/**
 * Keeps a second process, or a second store of this one, out of a directory. PGlite has no lock of its own,
 * and two of them on one directory destroy it. The lock is a file beside the directory that holds the process
 * id; one whose process is gone counts for nothing.
 */
export class DirectoryLock {
  readonly #file: string;

  private constructor(file: string) {
    this.#file = file;
  }

  /** Takes the lock of an absolute path. Throws `InvalidConfigError` when somebody else has it. */
  static async take(directory: string): Promise<DirectoryLock> {
    const file = `${directory}.lock`;
    if (held.has(file)) throw taken(directory, 'another store of this process');
    held.add(file);
    try {
      await mkdir(dirname(file), { recursive: true });
      if (!(await create(file))) {
        const owner = Number(await readFile(file, 'utf8').catch(() => ''));
        if (isAlive(owner)) throw taken(directory, `process ${owner}`);
        await rm(file, { force: true });
        if (!(await create(file))) throw taken(directory, 'another process');
      }
      return new DirectoryLock(file);
    } catch (error) {
      held.delete(file);
      throw error;
    }
  }

  async release(): Promise<void> {
    await rm(this.#file, { force: true });
    held.delete(this.#file);
  }
}

/** The file appears with its content: an empty one would look like that of a process that is gone. */
async function create(file: string): Promise<boolean> {
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, String(process.pid));
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

function isAlive(pid: number): boolean {
  // An id like ours is from an earlier life: in a container every start has the same one.
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function taken(directory: string, by: string): InvalidConfigError {
  return new InvalidConfigError(
    `pglite: the directory ${directory} is open in ${by}; ` +
      'give the silos of one process the same store object, and every process a directory of its own',
  );
}
