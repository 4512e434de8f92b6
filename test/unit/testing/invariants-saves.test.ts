import { describe, expect, test } from 'vitest';
import type { Observation } from '../../../framework/testing/invariants/observation.ts';
import { Saves } from '../../../framework/testing/invariants/saves.ts';
import { applied, born, crashed, gone, heard, judge } from '../../support/histories.ts';

function judged(...history: Observation[]): string[] {
  return judge(new Saves({ storesTell: true }), history);
}

/** An activation that has read etag `etag`. */
function reader(at: number, node: string, id: string, etag: string | undefined): Observation[] {
  return [...born(at, node, id), heard(at, node, 'recordRead', id, undefined, etag)];
}

/** A write that the store took and the activation heard of. */
function save(at: number, node: string, id: string, before: string | undefined, etag: string): Observation[] {
  return [applied(at, node, before, etag), heard(at + 1, node, 'recordSaved', id, before, etag)];
}

describe('saves in one chain', () => {
  test('of one activation after the other, over what each has read', () => {
    const history = [
      ...reader(0, 'a~1', 'one', undefined),
      ...save(1, 'a~1', 'one', undefined, 'e1'),
      ...save(3, 'a~1', 'one', 'e1', 'e2'),
      gone(5, 'a~1', 'one'),
      ...reader(6, 'b~1', 'two', 'e2'),
      ...save(7, 'b~1', 'two', 'e2', 'e3'),
    ];
    expect(judged(...history)).toEqual([]);
  });

  test('over a record from before the history', () => {
    expect(judged(...reader(0, 'a~1', 'one', 'old'), ...save(1, 'a~1', 'one', 'old', 'e1'))).toEqual([]);
  });

  test('with a clear in between, of something and of nothing', () => {
    const history = [
      ...reader(0, 'a~1', 'one', undefined),
      ...save(1, 'a~1', 'one', undefined, 'e1'),
      applied(3, 'a~1', 'e1', undefined),
      heard(4, 'a~1', 'recordCleared', 'one', 'e1', undefined),
      heard(4, 'a~1', 'recordCleared', 'one', undefined, undefined),
      ...save(5, 'a~1', 'one', undefined, 'e2'),
    ];
    expect(judged(...history)).toEqual([]);
  });

  test('with an acknowledgement that was lost, and one that came when others had written on', () => {
    const history = [
      ...reader(0, 'a~1', 'one', undefined),
      applied(1, 'a~1', undefined, 'e1'),
      gone(2, 'a~1', 'one'),
      ...reader(3, 'b~1', 'two', 'e1'),
      applied(4, 'b~1', 'e1', 'e2'),
      ...reader(5, 'c~1', 'three', 'e2'),
      ...save(6, 'c~1', 'three', 'e2', 'e3'),
      heard(9, 'b~1', 'recordSaved', 'two', 'e1', 'e2'),
    ];
    expect(judged(...history)).toEqual([]);
  });

  test('by a silo that crashed when its write was on its way', () => {
    const history = [
      ...reader(0, 'a~1', 'one', undefined),
      crashed(1, 'a~1'),
      applied(2, 'a~1', undefined, 'e1'),
      ...reader(3, 'b~1', 'two', 'e1'),
      ...save(4, 'b~1', 'two', 'e1', 'e2'),
    ];
    expect(judged(...history)).toEqual([]);
  });

  test('after a reload, and after an activation is gone that did not wait for its save', () => {
    const history = [
      ...reader(0, 'a~1', 'one', 'e0'),
      applied(1, 'b~1', 'e0', 'e1'),
      heard(2, 'a~1', 'recordRead', 'one', 'e0', 'e1'),
      applied(3, 'a~1', 'e1', 'e2'),
      gone(4, 'a~1', 'one'),
      heard(5, 'a~1', 'recordSaved', 'one', 'e1', 'e2'),
    ];
    expect(judged(...history)).toEqual([]);
  });

  test('when what was read was replaced while it was read', () => {
    const history = [
      applied(0, 'b~1', undefined, 'e1'),
      ...born(1, 'a~1', 'one'),
      applied(2, 'b~1', 'e1', 'e2'),
      heard(3, 'a~1', 'recordRead', 'one', undefined, 'e1'),
    ];
    expect(judged(...history)).toEqual([]);
  });
});

describe('saves that break the chain', () => {
  test('a write over something else than what is stored', () => {
    const history = [applied(0, 'a~1', undefined, 'e1'), applied(1, 'b~1', undefined, 'e2')];
    expect(judged(...history)).toEqual([
      "Counter/x, record 'state': the store took a write of b~1 over nothing, but held etag e1",
    ]);
  });

  test('an acknowledged write that the store never took', () => {
    const history = [...reader(0, 'a~1', 'one', undefined)];
    const lie = heard(2, 'a~1', 'recordSaved', 'one', undefined, 'e1');
    expect(judged(...history, lie)).toEqual([expect.stringContaining('and it never was')]);
  });

  test('a clear that the store never took', () => {
    const history = [...reader(0, 'a~1', 'one', 'e1')];
    const lie = heard(2, 'a~1', 'recordCleared', 'one', 'e1', undefined);
    expect(judged(...history, lie)).toHaveLength(1);
  });

  test('an activation that saves over what it did not read or write last', () => {
    const history = [
      ...reader(0, 'a~1', 'one', undefined),
      ...save(1, 'a~1', 'one', undefined, 'e1'),
      applied(3, 'b~1', 'e1', 'e2'),
      ...save(4, 'a~1', 'one', 'e2', 'e3'),
    ];
    expect(judged(...history)).toEqual([expect.stringContaining('though it held etag e1')]);
  });

  test('an activation that saves without having read', () => {
    expect(judged(...born(0, 'a~1', 'one'), ...save(1, 'a~1', 'one', undefined, 'e1'))).toEqual([
      expect.stringContaining('without having read it'),
    ]);
  });

  test('a write over another etag than the one that the activation held', () => {
    const history = [
      ...reader(0, 'a~1', 'one', 'e0'),
      applied(1, 'b~1', 'e0', 'e1'),
      applied(2, 'a~1', 'e1', 'e2'),
      heard(3, 'a~1', 'recordSaved', 'one', 'e0', 'e2'),
    ];
    expect(judged(...history)).toEqual([
      expect.stringContaining('held etag e0, but wrote etag e2 over etag e1'),
    ]);
  });

  test('an activation that reads what was replaced before it was created', () => {
    const history = [applied(0, 'a~1', 'e0', 'e1'), ...reader(1, 'b~1', 'two', 'e0')];
    expect(judged(...history)).toEqual([expect.stringContaining('read etag e0, but etag e1 was stored')]);
  });
});

describe('without the word of the stores', () => {
  const judgedBlind = (...history: Observation[]) => judge(new Saves({ storesTell: false }), history);
  const saved = (at: number, node: string, id: string, before: string | undefined, etag: string) =>
    heard(at, node, 'recordSaved', id, before, etag);

  test('two acknowledged writes over one are found', () => {
    const history = [
      ...reader(0, 'a~1', 'one', 'e0'),
      ...reader(0, 'b~1', 'two', 'e0'),
      saved(1, 'a~1', 'one', 'e0', 'e1'),
      saved(2, 'b~1', 'two', 'e0', 'e2'),
    ];
    expect(judgedBlind(...history)).toEqual([expect.stringContaining('is the second one to write over e0')]);
  });

  test('a chain holds, also when a link of it was never acknowledged, or cleared', () => {
    const history = [
      ...reader(0, 'a~1', 'one', undefined),
      saved(1, 'a~1', 'one', undefined, 'e1'),
      ...reader(2, 'b~1', 'two', 'e2'),
      saved(3, 'b~1', 'two', 'e2', 'e3'),
      heard(4, 'b~1', 'recordCleared', 'two', 'e3', undefined),
      saved(5, 'b~1', 'two', undefined, 'e4'),
    ];
    expect(judgedBlind(...history)).toEqual([]);
  });
});

test('what is remembered of a record stays bounded', () => {
  const checker = new Saves({ storesTell: true });
  for (let i = 0; i < 200; i++)
    expect(checker.observe(applied(i, 'a~1', `e${i}`, `e${i + 1}`))).toBeUndefined();
  const ack = (n: number) => checker.observe(heard(300, 'a~1', 'recordSaved', 'one', `e${n - 1}`, `e${n}`));
  expect(ack(200)).toBeUndefined();
  expect(ack(100)).toContain('it never was');
});
