import { randomBytes } from 'node:crypto';

/** The runtime's only source of chance; a simulator replaces it by one that a seed drives. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** A fresh identifier: 16 characters of [0-9a-z], 80 bits. */
  id(): string;
}

const ALPHABET = '0123456789abcdefghijklmnopqrstuv';

/** Chance from the machine: `Math.random` for choices, the operating system's entropy for identifiers. */
export const systemRandom: Random = {
  next: () => Math.random(),
  id() {
    let text = '';
    for (const byte of randomBytes(16)) text += ALPHABET[byte & 31];
    return text;
  },
};
