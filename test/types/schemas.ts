/**
 * What `@method({ args })` asks of the method beneath it, as the compiler sees it: nothing here runs. Each
 * `@ts-expect-error` fails the type check when the line beneath it compiles.
 */
import { Grain, grain, method } from 'granary';
import * as v from 'valibot';
import { z } from 'zod';

@grain()
export class Checked extends Grain {
  @method({ args: [z.string(), z.number().optional()] })
  async one(_text: string, _count?: number): Promise<void> {}

  @method({ args: [z.string().transform(Number)] })
  async made(_count: number): Promise<void> {}

  @method({ args: z.tuple([z.string()], z.number()) })
  async rest(_text: string, ..._counts: number[]): Promise<void> {}

  @method({ args: [v.object({ name: v.string() }), z.bigint()], readOnly: true })
  async mixed(_who: { name: string }, _id: bigint): Promise<void> {}

  @method({ args: v.tuple([v.string()]) })
  async *stream(_from: string): AsyncGenerator<string> {}

  @method({ args: [] })
  async none(): Promise<void> {}

  @method({ args: [z.string()] })
  async fewer(): Promise<void> {}

  // @ts-expect-error: the schema gives a text
  @method({ args: [z.string()] })
  async wrong(_count: number): Promise<void> {}

  // @ts-expect-error: what the schema makes of a text is what counts
  @method({ args: [z.string().transform(Number)] })
  async before(_text: string): Promise<void> {}

  // @ts-expect-error: the schema gives a list of one
  @method({ args: v.tuple([v.string()]) })
  async more(_text: string, _count: number): Promise<void> {}

  // @ts-expect-error: a schema of one argument is none of the list of them
  @method({ args: z.string() })
  async list(_text: string): Promise<void> {}
}
