import { Grain, grain, method, state } from 'granary';

export interface Message {
  readonly number: number;
  readonly from: string;
  readonly text: string;
}

/** Messages that a room remembers. */
const HISTORY = 100;

/** A chat room: people say things, and everybody who reads it hears them in the same order. */
@grain()
export class Room extends Grain {
  @state() messages: readonly Message[] = [];
  /** The messages that are saved: readers hear no other, as it might still be lost. */
  #saved = this.messages;
  readonly #wakeReaders = new Set<() => void>();

  override async onActivate(): Promise<void> {
    this.#saved = this.messages;
  }

  @method()
  async say(from: string, text: string): Promise<number> {
    const number = (this.messages.at(-1)?.number ?? 0) + 1;
    this.messages = [...this.messages, { number, from, text }].slice(-HISTORY);
    await this.save();
    this.#saved = this.messages;
    for (const wake of this.#wakeReaders) wake();
    return number;
  }

  /**
   * What was said after message `after`, and what will be said, until the reader leaves its loop.
   * `interleave`: it waits for the next message while others call `say`. A reader that was cut off reads on
   * from the last message that it has; one that is too slow for the history sees a gap in the numbers.
   */
  @method({ interleave: true })
  async *read(after = 0): AsyncGenerator<Message> {
    const left = this.context.signal;
    for (let last = after; !left.aborted; ) {
      const news = this.#saved.filter((message) => message.number > last);
      for (const message of news) yield message;
      last = news.at(-1)?.number ?? last;
      if (news.length === 0) await this.#newsOr(left);
    }
  }

  #newsOr(left: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#wakeReaders.delete(wake);
        resolve();
      };
      this.#wakeReaders.add(wake);
      left.addEventListener('abort', wake, { once: true });
    });
  }
}
