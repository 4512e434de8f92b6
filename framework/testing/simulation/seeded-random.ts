import type { Random } from '../../system/random.ts';

const LETTERS = '0123456789abcdefghijklmnopqrstuv';

/**
 * Chance that a seed decides: sfc32 (Chris Doty-Humphrey's Small Fast Counter, from PractRand). Each part of
 * a simulation has one of its own, made from the seed and the part's name: one that draws once more does not
 * change what the others see.
 */
export class SeededRandom implements Random {
  readonly #seed: number;
  readonly #label: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number, label = '') {
    this.#seed = seed;
    this.#label = label;
    let hash = 0x811c9dc5;
    for (let i = 0; i < label.length; i++) hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193);
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 2 ** 32) | 0;
    this.#c = hash;
    for (let i = 0; i < 15; i++) this.bits();
  }

  /** A source of its own for one part of the simulation, which depends on nothing but seed and names. */
  fork(label: string): SeededRandom {
    return new SeededRandom(this.#seed, `${this.#label}/${label}`);
  }

  /** 32 random bits, as a signed integer. */
  bits(): number {
    const result = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + result;
    return result;
  }

  next(): number {
    return (this.bits() >>> 0) / 2 ** 32;
  }

  id(): string {
    let id = '';
    for (let i = 0; i < 16; i++) id += LETTERS[this.bits() & 31];
    return id;
  }

  /** True with a probability. Draws only when there is something to decide. */
  chance(probability: number): boolean {
    return probability > 0 && this.next() < probability;
  }

  /** A whole number from 0 up to, not including, `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  between(min: number, max: number): number {
    return min + this.next() * (max - min);
  }

  /** Times between events that do not know of each other. */
  exponential(mean: number): number {
    return -Math.log(1 - this.next()) * mean;
  }

  /** Between two positive numbers, small ones as likely as large ones. */
  logarithmic(least: number, most: number): number {
    return least * (most / least) ** this.next();
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  shuffled<T>(list: readonly T[]): T[] {
    const shuffled = [...list];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [shuffled[i], shuffled[j]] = [shuffled[j] as T, shuffled[i] as T];
    }
    return shuffled;
  }
}
