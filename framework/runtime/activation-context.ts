import type { Logger } from 'pino';
import type { GrainContext } from '../grain/context.ts';
import { readBaggage } from '../rpc/baggage.ts';
import type { Random } from '../system/random.ts';
import type { Activation } from './activation.ts';

/** What a grain sees of its activation; made when it is first asked for. */
export class ActivationContext implements GrainContext {
  readonly #activation: Activation;
  #log: Logger | undefined;

  constructor(activation: Activation) {
    this.#activation = activation;
  }

  get id(): string {
    return this.#activation.id;
  }

  get activationId(): string {
    return this.#activation.activationId;
  }

  get silo(): string {
    return this.#activation.services.siloName;
  }

  get log(): Logger {
    const { id, services, activationId } = this.#activation;
    this.#log ??= services.log.child({ grain: id, activation: activationId });
    return this.#log;
  }

  get random(): Random {
    return this.#activation.services.random;
  }

  get signal(): AbortSignal {
    return this.#activation.signal();
  }

  get request(): Readonly<Record<string, unknown>> {
    return readBaggage(this.#activation.currentCall()?.baggage);
  }

  now(): number {
    return this.#activation.services.clock.wallNow();
  }

  deactivate(): void {
    this.#activation.deactivate('requested');
  }

  keepAlive(ms: number): void {
    this.#activation.keepAlive(ms);
  }

  etag(record = 'state'): string | undefined {
    return this.#activation.etag(record);
  }
}
