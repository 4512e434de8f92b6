import { hostname } from 'node:os';

export interface Settings {
  readonly cluster: string;
  readonly name: string;
  readonly natsUrl: string;
  readonly databaseUrl: string;
  readonly databaseSchema: string;
  readonly databasePool: number;
  readonly partitions: number;
  readonly idleMs: number;
  readonly stopMs: number;
  readonly log: Level;
  readonly healthPort: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
type Level = (typeof LEVELS)[number];

/** Every variable that the silo reads; docs/compose.md has the same ones. */
export const VARIABLES = [
  'NATS_URL',
  'DATABASE_URL',
  'GRANARY_CLUSTER',
  'GRANARY_SILO',
  'GRANARY_SCHEMA',
  'GRANARY_POOL',
  'GRANARY_PARTITIONS',
  'GRANARY_IDLE_MS',
  'GRANARY_STOP_MS',
  'GRANARY_LOG',
  'GRANARY_HEALTH_PORT',
] as const;
type Variable = (typeof VARIABLES)[number];

/** The settings in an environment. Throws one error that names every wrong variable, and what it must be. */
export function readSettings(environment: Environment): Settings {
  const reader = new Reader(environment);
  const settings: Settings = {
    natsUrl: reader.url('NATS_URL', ['nats:', 'tls:'], 'nats://host:4222'),
    databaseUrl: reader.url(
      'DATABASE_URL',
      ['postgres:', 'postgresql:'],
      'postgres://user:password@host:5432/database',
    ),
    cluster: reader.name('GRANARY_CLUSTER', 'granary'),
    name: reader.name(
      'GRANARY_SILO',
      hostname()
        .replace(/[^A-Za-z0-9_-]/g, '-')
        .slice(0, 64),
    ),
    databaseSchema: reader.text('GRANARY_SCHEMA', 'granary'),
    databasePool: reader.whole('GRANARY_POOL', 4, 1, 100),
    partitions: reader.powerOfTwo('GRANARY_PARTITIONS', 1_024, 65_536),
    idleMs: reader.whole('GRANARY_IDLE_MS', 600_000, 1, 86_400_000),
    stopMs: reader.whole('GRANARY_STOP_MS', 10_000, 0, 3_600_000),
    log: reader.oneOf('GRANARY_LOG', LEVELS, 'info'),
    healthPort: reader.whole('GRANARY_HEALTH_PORT', 8_080, 0, 65_535),
  };
  reader.finish();
  return settings;
}

/** Reads variables one by one and collects what is wrong. An empty variable counts as absent. */
class Reader {
  readonly #environment: Environment;
  readonly #problems: string[] = [];

  constructor(environment: Environment) {
    this.#environment = environment;
    for (const name of Object.keys(environment)) {
      if (name.startsWith('GRANARY_') && !(VARIABLES as readonly string[]).includes(name)) {
        this.#problems.push(`${name} is no variable of Granary; there are: ${VARIABLES.join(', ')}`);
      }
    }
  }

  text(name: Variable, fallback: string): string {
    return this.#environment[name]?.trim() || fallback;
  }

  name(name: Variable, fallback: string): string {
    const value = this.text(name, fallback);
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(value)) {
      this.#wrong(name, value, '1 to 64 letters, digits, - and _');
    }
    return value;
  }

  whole(name: Variable, fallback: number, least: number, most: number): number {
    const text = this.text(name, String(fallback));
    const value = Number(text);
    if (!/^[0-9]+$/.test(text) || value < least || value > most) {
      this.#wrong(name, text, `a whole number from ${least} to ${most}`);
    }
    return value;
  }

  powerOfTwo(name: Variable, fallback: number, most: number): number {
    const text = this.text(name, String(fallback));
    const value = Number(text);
    if (!/^[0-9]+$/.test(text) || value < 1 || value > most || !Number.isInteger(Math.log2(value))) {
      this.#wrong(name, text, `a power of two from 1 to ${most}`);
    }
    return value;
  }

  oneOf<T extends string>(name: Variable, values: readonly T[], fallback: T): T {
    const text = this.text(name, fallback);
    const value = values.find((each) => each === text);
    if (value === undefined) this.#wrong(name, text, `one of ${values.join(', ')}`);
    return value ?? fallback;
  }

  /** One URL, or several with commas. The message repeats none: it may hold a password. */
  url(name: Variable, protocols: readonly string[], example: string): string {
    const text = this.text(name, '');
    const urls = text.split(',').map((url) => url.trim());
    if (text === '') {
      this.#problems.push(`${name} is not set; it must be a URL like ${example}`);
    } else if (!urls.every((url) => URL.canParse(url) && protocols.includes(new URL(url).protocol))) {
      this.#problems.push(`${name} is not a URL like ${example}`);
    }
    return text;
  }

  finish(): void {
    if (this.#problems.length > 0) throw new Error(this.#problems.join('\n'));
  }

  #wrong(name: string, value: string, wanted: string): void {
    this.#problems.push(`${name} is '${value}'; it must be ${wanted}`);
  }
}
