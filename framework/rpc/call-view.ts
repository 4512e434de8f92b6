import { type GrainId, readableKey, typeOf } from '../identity/grain-id.ts';
import { grainOf } from './call.ts';

/** What interceptors see of a call on either side. Its parts are worked out when they are asked for. */
export abstract class CallView {
  readonly target: GrainId;
  readonly method: string;
  args: readonly unknown[];
  readonly #chain: readonly string[];

  constructor(target: GrainId, method: string, args: readonly unknown[], chain: readonly string[]) {
    this.target = target;
    this.method = method;
    this.args = args;
    this.#chain = chain;
  }

  get type(): string {
    return typeOf(this.target);
  }

  get key(): string {
    return readableKey(this.target);
  }

  get caller(): GrainId | undefined {
    const link = this.#chain.at(-1);
    return link === undefined ? undefined : grainOf(link);
  }
}
