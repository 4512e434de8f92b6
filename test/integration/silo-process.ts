import { fileURLToPath } from 'node:url';
import type { NodeAddress } from '../../framework/identity/silo-address.ts';
import { machineNow } from '../support/machine-clock.ts';
import { type Exit, type Program, spawnNode } from '../support/processes.ts';
import type { SiloProgramOptions, SiloState } from './programs/silo.ts';

const PROGRAM = fileURLToPath(new URL('programs/silo.ts', import.meta.url));

/** A silo in a process of its own, seen from a test. */
export class SiloProcess {
  readonly name: string;
  readonly address: NodeAddress;
  readonly program: Program;
  #lastAsk = 0;

  private constructor(name: string, address: NodeAddress, program: Program) {
    this.name = name;
    this.address = address;
    this.program = program;
  }

  /** Starts one; resolves when it takes calls. */
  static async start(options: SiloProgramOptions, namespace?: string): Promise<SiloProcess> {
    const program = spawnNode(PROGRAM, {
      args: [JSON.stringify(options)],
      ...(namespace !== undefined && { namespace }),
    });
    const [, address = ''] = await program.ready(new RegExp(`^ready ${options.name} ${program.pid} (.*)$`));
    return new SiloProcess(options.name, address, program);
  }

  /** Starts one that the cluster must refuse; resolves with the error that it ended with. */
  static async refused(
    options: SiloProgramOptions,
  ): Promise<{ name: string; code: string; message: string }> {
    await using program = spawnNode(PROGRAM, { args: [JSON.stringify(options)] });
    const [, error = ''] = await program.line(/^refused (.*)$/);
    return JSON.parse(error) as { name: string; code: string; message: string };
  }

  async state(): Promise<SiloState> {
    const id = ++this.#lastAsk;
    const answer = this.program.line(new RegExp(`^answer ${id} (.*)$`));
    this.program.send({ id, ask: 'state' });
    return JSON.parse((await answer)[1] ?? '') as SiloState;
  }

  /** Stops it in order; resolves when the process has ended by itself, with what it did. */
  async stop(): Promise<{ state: SiloState; exit: Exit }> {
    const stopped = this.program.line(/^stopped (.*)$/);
    this.program.sigterm();
    const state = JSON.parse((await stopped)[1] ?? '') as SiloState;
    return { state, exit: await this.program.exited };
  }

  /** SIGKILL; resolves at once with the time of the kill. */
  kill9(): number {
    const at = machineNow();
    this.program.kill9();
    return at;
  }
}
