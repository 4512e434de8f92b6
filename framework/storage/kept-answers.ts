import { createHash } from 'node:crypto';
import { LIMITS } from '../limits.ts';
import { pack, unpack } from '../serialization/codec.ts';

/** What is kept of a call with an idempotency key. */
export interface KeptAnswer {
  readonly key: string;
  readonly method: string;
  /** Of the arguments, to tell another call from the same one made again. */
  readonly digest: Uint8Array;
  /** The result, packed. */
  readonly answer: Uint8Array;
}

// A grain that is asked with keys at all keeps a hundred answers and more, and looks at them at each such
// call only. As objects they would take several times the memory, in every activation. So they stay packed:
// one flat list, the oldest answer first.

/** Elements of the list for each answer. */
const ELEMENTS = 4;
/** Two different lists of arguments have the same one with a chance of 2^-96. */
const DIGEST_BYTES = 12;

export function digestOf(packedArguments: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(packedArguments).digest().subarray(0, DIGEST_BYTES));
}

export function findAnswer(kept: Uint8Array | undefined, key: string): KeptAnswer | undefined {
  if (!kept) return undefined;
  const list = unpack(kept) as unknown[];
  for (let at = list.length - ELEMENTS; at >= 0; at -= ELEMENTS)
    if (list[at] === key) return answerAt(list, at);
  return undefined;
}

/** Adds one, and forgets the oldest ones beyond `most` answers, or beyond the bytes that there may be. */
export function addAnswer(kept: Uint8Array | undefined, added: KeptAnswer, most: number): Uint8Array {
  const list = kept ? (unpack(kept) as unknown[]) : [];
  list.push(added.key, added.method, added.digest, added.answer);
  let from = Math.max(0, list.length - most * ELEMENTS);
  let bytes = 0;
  for (let at = list.length - ELEMENTS; at >= from; at -= ELEMENTS) {
    bytes += bytesOf(answerAt(list, at));
    if (bytes > LIMITS.keptAnswersBytes) from = at + ELEMENTS;
  }
  return pack(list.slice(from), 'answers').slice();
}

function answerAt(list: readonly unknown[], at: number): KeptAnswer {
  const [key, method, digest, answer] = list.slice(at, at + ELEMENTS);
  return { key, method, digest, answer } as KeptAnswer;
}

/** In the record, or a few more. */
function bytesOf({ key, method, digest, answer }: KeptAnswer): number {
  return Buffer.byteLength(key) + method.length + digest.length + answer.length + ELEMENTS * 3;
}
