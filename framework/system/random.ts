import { randomBytes } from 'node:crypto';

/** The runtime's only source of chance; a simulator replaces it by one that a seed drives. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** A fresh identifier: 16 characters of [0-9a-z], 80 bits. */
  id(): string;
}

const ALPHABET = Buffer.from('0123456789abcdefghijklmnopqrstuv');
const ID_CHARS = 16;
/** Identifiers from one draw: a draw takes microseconds, however few bytes it is for. */
const IDS_PER_DRAW = 256;

let letters = Buffer.alloc(0);
let used = 0;

/** Chance from the machine: `Math.random` for choices, the operating system's entropy for identifiers. */
export const systemRandom: Random = {
  next: () => Math.random(),
  id() {
    if (used === letters.length) {
      letters = randomBytes(ID_CHARS * IDS_PER_DRAW);
      for (let at = 0; at < letters.length; at++)
        letters[at] = ALPHABET[(letters[at] as number) & 31] as number;
      used = 0;
    }
    used += ID_CHARS;
    return letters.toString('latin1', used - ID_CHARS, used);
  },
};
