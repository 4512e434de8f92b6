import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ProgramOptions {
  readonly args?: readonly string[];
  /** Added to this process's environment. */
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** The network namespace that it runs in; the machine's own by default. */
  readonly namespace?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Where `line` looks. Both are in `output`. */
  readonly lines?: 'stdout' | 'stderr';
  /** What ends it when nobody else does. */
  readonly endSignal?: 'SIGKILL' | 'SIGQUIT';
  /** Removed with it when this process dies without a word. */
  readonly folder?: string;
}

/** Lines of output that a failure shows, and that `line` can look back on. */
const KEPT_LINES = 2_000;
const LINE_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 10_000;

const running = new Set<Program>();
/** What else must not outlive its test file; removed once no program runs. */
const leftovers = new Set<AsyncDisposable>();

/**
 * A process that a test started. It ends with its `await using` block, with its test file (`stopPrograms`),
 * and, through a watchdog, when the process that started it is killed.
 */
export class Program {
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #endSignal: NodeJS.Signals;
  readonly #output: string[] = [];
  /** Lines that no `line` has matched yet. */
  #unread: string[] = [];
  readonly #waiting = new Set<(line: string) => void>();
  /** Takes the lines that are for it; returns whether this was one. */
  #follower: (line: string) => boolean = () => false;

  constructor(command: string, options: ProgramOptions = {}) {
    const { args = [], env, lines = 'stdout', endSignal = 'SIGKILL', folder, cwd } = options;
    this.#name = [command, ...args].join(' ');
    this.#endSignal = endSignal;
    const [file, fileArgs, user] = placed(command, args, options);
    const child = spawn(file, fileArgs, {
      ...{ ...user, env: { ...process.env, ...env }, stdio: 'pipe' },
      ...(cwd !== undefined && { cwd }),
    });
    this.#child = child;
    child.stdin.on('error', () => {}); // It may exit before it has read everything; `exited` tells.
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
    this.exited = new Promise((resolve) => {
      child.once('error', (error) => {
        this.#output.push(String(error));
        resolve({ code: null, signal: null });
      });
      child.once('exit', async (code, signal) => {
        await closed;
        running.delete(this);
        resolve({ code, signal });
      });
    });
    for (const stream of ['stdout', 'stderr'] as const) {
      createInterface({ input: child[stream] }).on('line', (line) => this.#printed(line, stream === lines));
    }
    if (child.pid === undefined) return;
    running.add(this);
    const unguard = guard(child.pid, endSignal, folder);
    child.once('exit', unguard);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Everything that it printed last, both streams. */
  get output(): string {
    return this.#output.join('\n');
  }

  /**
   * The next line that matches: among those printed since the last match, else the first to come. Rejects,
   * with the output, when the process exits first or after `timeoutMs`.
   */
  line(pattern: RegExp, timeoutMs = LINE_TIMEOUT_MS): Promise<RegExpMatchArray> {
    for (const [index, line] of this.#unread.entries()) {
      const match = line.match(pattern);
      if (!match) continue;
      this.#unread = this.#unread.slice(index + 1);
      return Promise.resolve(match);
    }
    return new Promise((resolve, reject) => {
      const fail = (why: string) => {
        settle();
        reject(new Error(`${this.#name} ${why} before a line like ${pattern}\n${this.output}`));
      };
      const look = (line: string) => {
        const match = line.match(pattern);
        if (!match) return;
        settle();
        this.#unread = [];
        resolve(match);
      };
      const timeout = setTimeout(() => fail(`printed nothing for ${timeoutMs} ms`), timeoutMs);
      const settle = () => {
        clearTimeout(timeout);
        this.#waiting.delete(look);
      };
      this.#waiting.add(look);
      void this.exited.then(({ code, signal }) => fail(`exited (${signal ?? code})`));
    });
  }

  /**
   * Gives all lines with this beginning to one reader, without it, from the first on; they are not in
   * `output`, nor for `line`.
   */
  follow(beginning: string, read: (rest: string) => void): void {
    this.#follower = (line) => {
      if (!line.startsWith(beginning)) return false;
      read(line.slice(beginning.length));
      return true;
    };
  }

  /** Resolves when it has printed that it is ready; when that fails, ends it and rejects. */
  async ready(pattern: RegExp): Promise<RegExpMatchArray> {
    try {
      return await this.line(pattern);
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Writes a value to its stdin as one line of JSON. */
  send(value: unknown): void {
    this.#child.stdin?.write(`${JSON.stringify(value)}\n`);
  }

  kill9(): void {
    this.signal('SIGKILL');
  }

  sigterm(): void {
    this.signal('SIGTERM');
  }

  /** Resolves when it has really stopped: until then a thread of it may still answer. */
  async sigstop(): Promise<void> {
    this.signal('SIGSTOP');
    const deadline = performance.now() + STOP_TIMEOUT_MS;
    while (!isStopped(this.pid)) {
      if (performance.now() > deadline) throw new Error(`${this.#name} did not stop\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 1)); // Only its parent in C would be told.
    }
  }

  sigcont(): void {
    this.signal('SIGCONT');
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal(this.#endSignal);
    this.sigcont();
    await this.exited;
  }

  #printed(line: string, readable: boolean): void {
    if (readable && this.#follower(line)) return;
    this.#output.push(line);
    if (this.#output.length > KEPT_LINES) this.#output.shift();
    if (!readable) return;
    this.#unread.push(line);
    if (this.#unread.length > KEPT_LINES) this.#unread.shift();
    for (const look of [...this.#waiting]) look(line);
  }
}

/** The command that starts another in its namespace, as its user. It becomes that other: one process id. */
function placed(
  command: string,
  args: readonly string[],
  { namespace, uid, gid }: ProgramOptions,
): [string, readonly string[], { uid?: number; gid?: number }] {
  if (namespace === undefined) {
    return [command, args, { ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) }];
  }
  // Only root may enter a namespace, so the user is changed inside.
  const user = [
    ...(uid === undefined ? [] : ['-S', `${uid}`]),
    ...(gid === undefined ? [] : ['-G', `${gid}`]),
  ];
  return ['nsenter', [`--net=/run/netns/${namespace}`, ...user, '--', command, ...args], {}];
}

/** Whether every thread of a process is stopped by a signal, or gone. */
function isStopped(pid: number): boolean {
  if (process.platform !== 'linux') {
    return spawnSync('ps', ['-o', 'state=', '-p', `${pid}`], { encoding: 'utf8' }).stdout.startsWith('T');
  }
  // `pid (name) state …`, one file for each thread; the name may hold anything.
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) =>
      /\) T [^)]*$/.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')),
    );
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' && !existsSync(`/proc/${pid}`);
  }
}

/** Runs a TypeScript file in a Node process of its own. */
export function spawnNode(scriptPath: string, options: ProgramOptions = {}): Program {
  const args = ['--import', 'tsx', scriptPath, ...(options.args ?? [])];
  return new Program(process.execPath, { ...options, args });
}

/** A new folder for a server's files. */
export class TemporaryFolder {
  readonly path: string;

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), 'granary-'));
    removeLater(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true, maxRetries: 5 });
    leftovers.delete(this);
  }
}

/** Ends every program that this process started and that still runs, and removes what they used. */
export async function stopPrograms(): Promise<void> {
  await Promise.all([...running].map((program) => program[Symbol.asyncDispose]()));
  await Promise.all([...leftovers].map((leftover) => leftover[Symbol.asyncDispose]()));
}

/** `stopPrograms` disposes of it, unless it was removed before; returns how to say that it was. */
export function removeLater(leftover: AsyncDisposable): () => void {
  leftovers.add(leftover);
  return () => void leftovers.delete(leftover);
}

/** Takes a process id, the number of a signal and a folder, which may be empty. */
const END = `
  kill -"$2" "$1"; kill -CONT "$1"
  for _ in $(seq 100); do kill -0 "$1" || break; sleep 0.1; done
  [ -z "$3" ] || rm -rf "$3"
`;

/** Starts a watchdog that ends `pid` when this process dies; returns what calls it off. */
function guard(pid: number, signal: NodeJS.Signals, folder = ''): () => void {
  return afterDeath(END, [`${pid}`, `${constants.signals[signal]}`, folder]);
}

/** Runs a shell script once this process is gone, however it went; returns what calls that off. */
export function afterDeath(script: string, args: readonly string[]): () => void {
  // The end of its stdin tells it. Detached: an interrupt from the terminal goes to the whole process group,
  // and must not end the watchdog.
  const watchdog = spawn('sh', ['-c', `read -r _\n${script}`, 'sh', ...args], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  watchdog.unref();
  (watchdog.stdin as Socket).unref();
  return () => watchdog.kill('SIGKILL');
}
