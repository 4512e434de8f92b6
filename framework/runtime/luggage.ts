import { PayloadTooLargeError } from '../errors.ts';
import { isNodeAddress, type NodeAddress } from '../identity/silo-address.ts';
import { LIMITS } from '../limits.ts';
import type { ControlChannel } from '../messaging/control-channel.ts';
import { isCount } from '../rpc/frames.ts';
import { pack, type RefBinder, unpack } from '../serialization/codec.ts';
import type { CarriedRecord } from '../storage/records.ts';
import type { Clock, Timer } from '../system/clock.ts';

/**
 * What an activation takes along to its next silo: where it is kept until it is fetched, its number there (0:
 * there is none), and whether the grain is to stay where it goes, since somebody chose the place.
 */
export type Luggage = readonly [silo: NodeAddress, number: number, stays: boolean];

/** What is in it: the fields of the records, saved or not, and what `onDehydrate` gave. */
export interface Contents {
  readonly records: readonly CarriedRecord[];
  readonly memory: unknown;
}

/** How long it is kept when its grain is elsewhere, and how long one question for a piece of it may take. */
const KEPT_MS = 10_000;
const FETCH_MS = 2_000;

export function parseLuggage(value: unknown): Luggage | undefined {
  if (!Array.isArray(value)) return undefined;
  const [silo, number, stays] = value as unknown[];
  return isNodeAddress(silo) && isCount(number) && typeof stays === 'boolean'
    ? [silo, number, stays]
    : undefined;
}

/** Throws `NotSerializableError` and `PayloadTooLargeError`. */
export function packContents({ records, memory }: Contents): Uint8Array {
  const bytes = pack([records, memory], 'onDehydrate()');
  if (bytes.length <= LIMITS.callBytes) return bytes;
  throw new PayloadTooLargeError(
    `what moves along has ${bytes.length} bytes, the limit is ${LIMITS.callBytes}`,
  );
}

export function unpackContents(bytes: Uint8Array, binder: RefBinder): Contents {
  const [records, memory] = unpack(bytes, binder) as [readonly CarriedRecord[], unknown];
  return { records, memory };
}

interface Kept {
  readonly bytes: Uint8Array;
  timer: Timer | undefined;
}

/**
 * Luggage of activations that have left this silo. It stays here until the next silo has fetched it, piece by
 * piece, so that no message is large and the silo that decides never handles it. What is not fetched in time
 * is thrown away: the grain has begun anew from its store by then, and must not meet its own past.
 */
export class LuggageOffice {
  readonly #self: NodeAddress;
  readonly #clock: Clock;
  readonly #control: ControlChannel;
  readonly #kept = new Map<number, Kept>();
  #bytes = 0;
  #last = 0;

  /** Called when one more is gone. */
  onFetched: () => void = () => {};

  constructor(self: NodeAddress, clock: Clock, control: ControlChannel) {
    this.#self = self;
    this.#clock = clock;
    this.#control = control;
    control.on('luggage', (_from, body) => this.#piece(body));
    control.on('luggageFetched', (_from, number) => {
      if (isCount(number)) this.drop(number);
    });
  }

  get size(): number {
    return this.#kept.size;
  }

  /** Whether more should be packed. What has been packed is kept even so. */
  get hasRoom(): boolean {
    return this.#bytes < LIMITS.luggageBytes;
  }

  /** Keeps it for whoever comes for its number, until `drop` or `left`. */
  keep(bytes: Uint8Array): number {
    const number = ++this.#last;
    this.#kept.set(number, { bytes, timer: undefined });
    this.#bytes += bytes.length;
    return number;
  }

  /** Its grain is elsewhere: whoever is to fetch it may do so for a while yet. */
  left(number: number): void {
    const kept = this.#kept.get(number);
    if (kept) kept.timer = this.#clock.inBackground(KEPT_MS, () => this.drop(number));
  }

  drop(number: number): void {
    const kept = this.#kept.get(number);
    if (!kept) return;
    kept.timer?.cancel();
    this.#kept.delete(number);
    this.#bytes -= kept.bytes.length;
    this.onFetched();
  }

  /** Rejects when the silo that keeps it is not reached, or does not have it any more. */
  async fetch([silo, number]: Luggage): Promise<Uint8Array> {
    if (silo === this.#self) {
      const kept = this.#kept.get(number);
      if (!kept) throw new Error('it is not there any more');
      this.drop(number);
      return kept.bytes;
    }
    const pieces: Uint8Array[] = [];
    let length = 0;
    for (;;) {
      const answer = await this.#control.request(silo, 'luggage', [number, length], FETCH_MS);
      const [piece, total] = Array.isArray(answer) ? (answer as unknown[]) : [];
      if (!(piece instanceof Uint8Array) || piece.length === 0) throw new Error('it is not there any more');
      pieces.push(piece);
      length += piece.length;
      if (length >= (total as number)) break;
    }
    this.#control.send(silo, 'luggageFetched', number);
    return Buffer.concat(pieces);
  }

  stop(): void {
    for (const number of [...this.#kept.keys()]) this.drop(number);
  }

  #piece(body: unknown): unknown {
    const [number, from] = Array.isArray(body) ? (body as unknown[]) : [];
    const kept = isCount(number) ? this.#kept.get(number) : undefined;
    if (!kept || !isCount(from)) return undefined;
    return [kept.bytes.subarray(from, from + LIMITS.controlBytes), kept.bytes.length];
  }
}
