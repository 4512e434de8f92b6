const FLOAT = new Float64Array(1);
const WORDS = new Uint32Array(FLOAT.buffer);

/**
 * A hash over all that happens, in order. Two runs with equal hashes have, for all practical purposes, been
 * the same run. Two lanes of 32 bits with the mixing of MurmurHash3 (Appleby).
 */
export class TraceHash {
  #one = 0x9747b28c;
  #two = 0x3c6ef372;

  word(word: number): void {
    let k = Math.imul(word, 0xcc9e2d51);
    k = (k << 15) | (k >>> 17);
    const one = this.#one ^ Math.imul(k, 0x1b873593);
    this.#one = (Math.imul((one << 13) | (one >>> 19), 5) + 0xe6546b64) | 0;
    const two = this.#two ^ Math.imul(word, 0x85ebca6b);
    this.#two = (Math.imul((two << 11) | (two >>> 21), 9) + 0x27d4eb2f) | 0;
  }

  number(number: number): void {
    FLOAT[0] = number;
    this.word(WORDS[0] as number);
    this.word(WORDS[1] as number);
  }

  text(text: string): void {
    this.word(text.length);
    for (let i = 0; i < text.length; i++) this.word(text.charCodeAt(i));
  }

  bytes(bytes: Uint8Array): void {
    this.word(bytes.length);
    let i = 0;
    for (; i + 4 <= bytes.length; i += 4) {
      const low = (bytes[i] as number) | ((bytes[i + 1] as number) << 8);
      this.word(low | ((bytes[i + 2] as number) << 16) | ((bytes[i + 3] as number) << 24));
    }
    for (; i < bytes.length; i++) this.word(bytes[i] as number);
  }

  /** 16 hexadecimal digits. */
  get digest(): string {
    return [this.#one, this.#two].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('');
  }
}
