import { describe, expect, test } from 'vitest';
import { TraceHash } from '../../../framework/testing/simulation/trace-hash.ts';

function digest(write: (hash: TraceHash) => void): string {
  const hash = new TraceHash();
  write(hash);
  return hash.digest;
}

describe('the hash of a trace', () => {
  test('is 16 hexadecimal digits, the same for the same trace', () => {
    const write = (hash: TraceHash) => {
      hash.number(1.5);
      hash.text('turnStarted');
      hash.bytes(Uint8Array.of(1, 2, 3, 4, 5));
    };
    expect(digest(write)).toMatch(/^[0-9a-f]{16}$/);
    expect(digest(write)).toBe(digest(write));
  });

  test.each<[string, (hash: TraceHash) => void, (hash: TraceHash) => void]>([
    ['order', (hash) => words(hash, 1, 2), (hash) => words(hash, 2, 1)],
    ['where a text ends', (hash) => texts(hash, 'ab', 'c'), (hash) => texts(hash, 'a', 'bc')],
    ['a text that is empty', (hash) => texts(hash, 'a'), (hash) => texts(hash, 'a', '')],
    ['where a message ends', (hash) => messages(hash, [1], [0]), (hash) => messages(hash, [1, 0])],
    ['a byte of zero', (hash) => messages(hash, [1]), (hash) => messages(hash, [1, 0])],
    ['a fraction of a time', (hash) => hash.number(1), (hash) => hash.number(1 + Number.EPSILON)],
    ['the sign of a word', (hash) => hash.word(1), (hash) => hash.word(-1)],
  ])('depends on %s', (_, one, other) => {
    expect(digest(one)).not.toBe(digest(other));
  });

  test('differs when any bit of a message differs, in either half', () => {
    const message = Uint8Array.from({ length: 64 }, (_, i) => i * 7);
    const digests = Array.from({ length: 64 * 8 }, (_, bit) => {
      const changed = message.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      return digest((hash) => hash.bytes(changed));
    });
    digests.push(digest((hash) => hash.bytes(message)));
    expect(new Set(digests.map((each) => each.slice(0, 8))).size).toBe(digests.length);
    expect(new Set(digests.map((each) => each.slice(8))).size).toBe(digests.length);
  });

  test('does not meet itself among 100,000 short traces', () => {
    const digests = new Set<string>();
    for (let i = 0; i < 100_000; i++) {
      digests.add(
        digest((hash) => {
          hash.number(i % 1_000);
          hash.word(i);
        }),
      );
    }
    expect(digests.size).toBe(100_000);
  });
});

function words(hash: TraceHash, ...words: number[]): void {
  for (const word of words) hash.word(word);
}

function texts(hash: TraceHash, ...texts: string[]): void {
  for (const text of texts) hash.text(text);
}

function messages(hash: TraceHash, ...messages: number[][]): void {
  for (const message of messages) hash.bytes(Uint8Array.from(message));
}
