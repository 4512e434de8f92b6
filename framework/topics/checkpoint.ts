import { EventLogError } from '../errors.ts';
import { pack, unpack } from '../serialization/codec.ts';
import type { CellName, EventLogSession } from './event-log.ts';

/**
 * What somebody who reads a log must remember, in a cell of that log. A write names the revision that was
 * read, so of two who take themselves for its owner one notices.
 */
export class Checkpoint<Value> {
  readonly #session: EventLogSession;
  readonly #name: CellName;
  #revision: number;
  /** Of a write with an unknown outcome. */
  #unknown: Uint8Array | undefined;
  value: Value;

  private constructor(session: EventLogSession, name: CellName, revision: number, value: Value) {
    this.#session = session;
    this.#name = name;
    this.#revision = revision;
    this.value = value;
  }

  /** `initial`: of a cell that is not there; it is not written. */
  static async open<Value>(
    session: EventLogSession,
    name: CellName,
    parse: (value: unknown) => Value | undefined,
    initial: () => Value,
  ): Promise<Checkpoint<Value>> {
    const cell = await session.cell(name);
    if (!cell) return new Checkpoint(session, name, 0, initial());
    const value = parse(unpack(cell.data));
    if (value !== undefined) return new Checkpoint(session, name, cell.revision, value);
    throw new EventLogError(
      `the cell ${name.join('/')} holds nothing that this version of Granary understands`,
    );
  }

  /** Whether it was there when it was opened, or has been written since. */
  get exists(): boolean {
    return this.#revision > 0;
  }

  /**
   * False when somebody else has written meanwhile. Rejects with `EventLogError`; whether it was written, the
   * next write finds out.
   */
  async write(value: Value): Promise<boolean> {
    const data = pack(value, 'cell');
    try {
      const revision = (await this.#put(data)) ?? (await this.#putAfterUnknown(data));
      if (revision === undefined) return false;
      this.#revision = revision;
    } catch (error) {
      this.#unknown = data;
      throw error;
    }
    this.#unknown = undefined;
    this.value = value;
    return true;
  }

  #put(data: Uint8Array): Promise<number | undefined> {
    return this.#session.writeCell(this.#name, data, this.#revision);
  }

  /** Who has written since may have been this one: the write before, of which it did not hear. */
  async #putAfterUnknown(data: Uint8Array): Promise<number | undefined> {
    if (!this.#unknown) return undefined;
    const cell = await this.#session.cell(this.#name);
    if (!cell || Buffer.compare(cell.data, this.#unknown) !== 0) return undefined;
    this.#revision = cell.revision;
    return this.#put(data);
  }
}
