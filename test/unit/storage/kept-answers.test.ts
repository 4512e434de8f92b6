import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../../framework/limits.ts';
import { pack } from '../../../framework/serialization/codec.ts';
import { addAnswer, digestOf, findAnswer, type KeptAnswer } from '../../../framework/storage/kept-answers.ts';

const answer = (key: string, bytes = 1): KeptAnswer => ({
  ...{ key, method: 'put', digest: digestOf(pack([key], 'args')) },
  answer: new Uint8Array(bytes).fill(7),
});

describe('answers that are kept', () => {
  test('are found by their key, with all that belongs to them', () => {
    expect(findAnswer(undefined, 'a')).toBeUndefined();
    const kept = ['a', 'b', 'put'].reduce<Uint8Array | undefined>(
      (all, key) => addAnswer(all, answer(key), 9),
      undefined,
    );
    for (const key of ['a', 'b', 'put']) expect(findAnswer(kept, key)).toEqual(answer(key));
    expect(findAnswer(kept, 'c')).toBeUndefined();
  });

  test('are the latest ones, as many as there may be', () => {
    let kept: Uint8Array | undefined;
    for (let n = 0; n < 10; n++) kept = addAnswer(kept, answer(`k${n}`), 3);
    const found = Array.from({ length: 10 }, (_, n) => findAnswer(kept, `k${n}`) !== undefined);
    expect(found.indexOf(true)).toBe(7);
    expect(found.slice(7)).toEqual([true, true, true]);
    expect(findAnswer(addAnswer(kept, answer('one'), 1), 'k9')).toBeUndefined(); // fewer than before
  });

  test('are as many as fit, and the newest is always among them', () => {
    let kept: Uint8Array | undefined;
    const large = LIMITS.keptAnswersBytes / 4;
    for (let n = 0; n < 6; n++) kept = addAnswer(kept, answer(`k${n}`, large), 100);
    expect((kept as Uint8Array).length).toBeLessThan(LIMITS.keptAnswersBytes);
    expect([2, 3, 4, 5].map((n) => findAnswer(kept, `k${n}`) !== undefined)).toEqual([
      false,
      true,
      true,
      true,
    ]);
  });

  test('as many as a grain keeps by default, of the largest size, all fit', () => {
    let kept: Uint8Array | undefined;
    const key = (n: number) => `${n}`.padStart(16, 'k');
    const bytes = LIMITS.keptAnswerBytes - 100;
    for (let n = 0; n < LIMITS.keptAnswers; n++)
      kept = addAnswer(kept, answer(key(n), bytes), LIMITS.keptAnswers);
    expect(findAnswer(kept, key(0))).toBeDefined();
  });
});

test('a digest tells lists of arguments apart, and is the same for the same ones', () => {
  const digest = (args: unknown[]) => Buffer.from(digestOf(pack(args, 'args'))).toString('hex');
  const lists = [
    [],
    [undefined],
    [1],
    ['1'],
    [1, 2],
    [[1, 2]],
    [{ a: 1 }],
    [new Date(1)],
    [new Map([[1, 2]])],
  ];
  expect(new Set(lists.map(digest)).size).toBe(lists.length);
  expect(lists.map(digest)).toEqual(lists.map((list) => digest(structuredClone(list))));
});
