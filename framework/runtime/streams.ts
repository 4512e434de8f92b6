import { SiloUnavailableError } from '../errors.ts';
import type { GrainId } from '../identity/grain-id.ts';
import type { Call } from '../rpc/call.ts';
import { StreamProducer } from './stream-producer.ts';

/** The streams that one activation produces. */
export class Streams {
  readonly #producers = new Set<StreamProducer>();

  get size(): number {
    return this.#producers.size;
  }

  /** The producer of a call, made at its first turn. `again` asks for its next one. */
  of(call: Call, open: () => AsyncGenerator<unknown>, again: () => void): StreamProducer {
    for (const present of this.#producers) if (present.call === call) return present;
    const producer: StreamProducer = new StreamProducer(call, open, {
      again,
      ended: () => {
        this.#producers.delete(producer);
        call.onEnded?.();
      },
    });
    this.#producers.add(producer);
    return producer;
  }

  /** The activation ends, and its readers are told. */
  close(grain: GrainId): void {
    const text = `${grain}: the activation that produced the stream has ended; read it anew`;
    const error = new SiloUnavailableError(text, { grain });
    for (const producer of this.#producers) producer.close(error);
  }

  /** Resolves when every generator has run its `finally`. */
  async finish(): Promise<void> {
    await Promise.all([...this.#producers].map((producer) => producer.finish()));
  }
}
