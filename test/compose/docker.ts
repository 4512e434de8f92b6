import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';

/** `docker compose` as this machine has it, for one project of its own. */
export class Compose {
  readonly #command: readonly string[];
  readonly #env: NodeJS.ProcessEnv;

  constructor(project: string, env: NodeJS.ProcessEnv = {}) {
    this.#command = [...composeCommand(), '-p', project];
    this.#env = { ...process.env, ...env };
  }

  /** Runs a command to its end, its output on ours. Throws when it fails. */
  do(...args: readonly string[]): void {
    const [program = '', ...first] = this.#command;
    console.log(`$ ${[...this.#command, ...args].join(' ')}`);
    const { status } = spawnSync(program, [...first, ...args], { stdio: 'inherit', env: this.#env });
    if (status !== 0) throw new Error(`${args[0]} failed with exit code ${status}`);
  }

  /** Ids of the containers of a service. */
  containers(service: string): string[] {
    const [program = '', ...first] = this.#command;
    return read(program, [...first, 'ps', '-q', service], this.#env)
      .split('\n')
      .filter((id) => id !== '');
  }

  /** Runs a command and tells its lines while it does. */
  async follow(args: readonly string[], told: (line: string) => void): Promise<number | null> {
    const [program = '', ...first] = this.#command;
    console.log(`$ ${[...this.#command, ...args].join(' ')}`);
    const child: ChildProcess = spawn(program, [...first, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: this.#env,
    });
    const exited = new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (child.stdout) createInterface({ input: child.stdout }).on('line', told);
    return exited;
  }
}

/** What docker knows of a container, by a template: `{{.State.ExitCode}}`. */
export function inspect(container: string, template: string): string {
  return read('docker', ['inspect', '--format', template, container]).trim();
}

/** Runs a docker command to its end. */
export function docker(...args: readonly string[]): void {
  read('docker', args);
}

/** `DOCKER_COMPOSE` names another one, with its first arguments. */
function composeCommand(): string[] {
  const given = process.env.DOCKER_COMPOSE?.split(' ').filter((part) => part !== '');
  if (given && given.length > 0) return given;
  const plugin = spawnSync('docker', ['compose', 'version'], { stdio: 'ignore' });
  return plugin.status === 0 ? ['docker', 'compose'] : ['docker-compose'];
}

function read(program: string, args: readonly string[], env = process.env): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', env });
  if (status === 0) return stdout;
  throw new Error(`${program} ${args.join(' ')} failed: ${error?.message ?? stderr}`);
}
