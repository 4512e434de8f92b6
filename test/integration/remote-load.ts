import { fileURLToPath } from 'node:url';
import { type Program, spawnNode } from '../support/processes.ts';
import { Books, type Failure, type Success } from './books.ts';
import type { ClientOrder, ClientProgramOptions } from './programs/client.ts';

const PROGRAM = fileURLToPath(new URL('programs/client.ts', import.meta.url));

/** A load from a client in a process of its own, which may be in another network than the test. */
export class RemoteLoad extends Books {
  readonly program: Program;
  #lastRead = 0;

  private constructor(program: Program, keys: readonly string[]) {
    super(keys);
    this.program = program;
    program.follow('calls ', (calls) => {
      for (const call of JSON.parse(calls) as (Success | Failure)[]) this.enter(call);
    });
  }

  static async start(options: ClientProgramOptions, namespace?: string): Promise<RemoteLoad> {
    const program = spawnNode(PROGRAM, {
      args: [JSON.stringify(options)],
      ...(namespace !== undefined && { namespace }),
    });
    const load = new RemoteLoad(program, options.keys);
    await program.ready(new RegExp(`^ready ${program.pid}$`));
    return load;
  }

  /** What the counter says now, to this client. */
  async read(key: string): Promise<number> {
    const id = ++this.#lastRead;
    const answered = this.program.line(new RegExp(`^answer ${id} (.*)$`));
    this.program.send({ id, read: key } satisfies ClientOrder);
    const answer = JSON.parse((await answered)[1] ?? '') as number | string;
    if (typeof answer === 'string') throw new Error(`reading ${key}: ${answer}`);
    return answer;
  }

  /** No more calls but reads; resolves when the last has ended. */
  async stop(): Promise<void> {
    const stopped = this.program.line(/^stopped$/);
    this.program.send('stop' satisfies ClientOrder);
    await stopped;
  }
}
