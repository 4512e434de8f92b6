import { Grain, method, state } from 'granary';

/** Its children may be compiled by other rules than it is. */
export abstract class Named extends Grain {
  @state() name = 'nobody';

  @method()
  async rename(name: string): Promise<string> {
    const before = this.name;
    this.name = name;
    await this.save();
    return before;
  }

  @method()
  async who(): Promise<string> {
    return this.name;
  }

  @method({ readOnly: true })
  async life(): Promise<string> {
    return this.context.activationId;
  }

  @method()
  async end(): Promise<void> {
    this.context.deactivate();
  }
}
