import { spawnSync } from 'node:child_process';
import { afterDeath, removeLater } from './processes.ts';

/** A machine of its own, as far as the network goes. */
export interface Host {
  readonly namespace: string;
  /** Its address in each network. */
  address(network: string): string;
}

let made = 0;

/**
 * Hosts on networks that can be cut, all on this machine: every host is a network namespace with one
 * interface for each network, and one more namespace has the switches, a bridge for each network and one for
 * those who are cut off from it. Nothing touches the machine's own network, so addresses cannot collide with
 * anything, and no firewall takes part.
 *
 * Names carry the process id. Removed by `await using`, with the test file, and by a watchdog when this
 * process is killed.
 */
export class NetworkNamespaces {
  readonly #prefix = `granary-${process.pid}-${++made}-`;
  readonly #hosts: readonly string[];
  readonly #networks: readonly string[];
  readonly #callOff: () => void;
  readonly #removed = removeLater(this);

  /** Throws when this machine does not allow it: ask `whyNoNamespaces` before. */
  constructor(hosts: readonly string[], networks: readonly string[]) {
    this.#hosts = hosts;
    this.#networks = networks;
    this.#callOff = afterDeath('for each; do ip netns delete "$each"; done', this.#namespaces);
    for (const namespace of this.#namespaces) ip(['netns', 'add', namespace]);
    inside(this.#switches, [
      ...networks
        .flatMap((network) => [network, apart(network)])
        .flatMap((bridge) => [`link add ${bridge} type bridge`, `link set ${bridge} up`]),
      ...this.#interfaces().flatMap(([host, network]) => [
        `link add ${this.#port(host, network)} type veth peer name ${network} netns ${this.#prefix}${host}`,
        `link set ${this.#port(host, network)} master ${network} up`,
      ]),
    ]);
    for (const host of hosts) {
      inside(this.#prefix + host, [
        'link set lo up',
        ...networks.flatMap((network) => [
          `address add ${this.#address(host, network)}/24 dev ${network}`,
          `link set ${network} up`,
        ]),
      ]);
    }
  }

  host(name: string): Host {
    return {
      namespace: this.#prefix + name,
      address: (network) => this.#address(name, network),
    };
  }

  /**
   * Cuts hosts off from the rest of a network; among themselves they still reach each other. Nothing is told
   * to anybody: what is sent across just does not arrive.
   */
  split(network: string, hosts: readonly string[]): void {
    this.#plug(network, hosts, apart(network));
  }

  heal(network: string): void {
    this.#plug(network, this.#hosts, network);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const namespace of this.#namespaces) ip(['netns', 'delete', namespace]);
    this.#callOff();
    this.#removed();
  }

  #plug(network: string, hosts: readonly string[], bridge: string): void {
    inside(
      this.#switches,
      hosts.map((host) => `link set ${this.#port(host, network)} master ${bridge}`),
    );
  }

  get #switches(): string {
    return `${this.#prefix}switches`;
  }

  get #namespaces(): string[] {
    return [this.#switches, ...this.#hosts.map((host) => this.#prefix + host)];
  }

  #interfaces(): [host: string, network: string][] {
    return this.#networks.flatMap((network) => this.#hosts.map((host): [string, string] => [host, network]));
  }

  /** What the host's interface is plugged into. Interface names have 15 characters at most. */
  #port(host: string, network: string): string {
    return `port${this.#networks.indexOf(network)}-${this.#hosts.indexOf(host)}`;
  }

  #address(host: string, network: string): string {
    return `10.77.${this.#networks.indexOf(network)}.${this.#hosts.indexOf(host) + 1}`;
  }
}

/** Why this machine cannot have them; undefined when it can. */
export function whyNoNamespaces(): string | undefined {
  if (process.platform !== 'linux') return 'only Linux has network namespaces';
  for (const [program, debianPackage] of [
    ['ip', 'iproute2'],
    ['nsenter', 'util-linux'],
  ] as const) {
    const { error } = spawnSync(program, ['-V']);
    if (error) return `there is no program '${program}' (Debian: apt-get install ${debianPackage})`;
  }
  if (process.getuid?.() !== 0) return 'making network namespaces takes root';
  const trial = `granary-${process.pid}-trial`;
  try {
    ip(['netns', 'add', trial]);
    inside(trial, ['link add trial type bridge']);
    return undefined;
  } catch (error) {
    return `making one failed: ${(error as Error).message}`;
  } finally {
    spawnSync('ip', ['netns', 'delete', trial]);
  }
}

function apart(network: string): string {
  return `${network}-apart`;
}

function inside(namespace: string, commands: readonly string[]): void {
  ip(['-n', namespace, '-batch', '-'], commands.join('\n'));
}

function ip(args: readonly string[], input = ''): void {
  const { status, stderr, error } = spawnSync('ip', args, { input, encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${error ?? stderr.trim()}`);
}
