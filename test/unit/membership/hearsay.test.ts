import { describe, expect, test } from 'vitest';
import { credible } from '../../../framework/membership/hearsay.ts';
import { addressOf, type SiloEntry, View } from '../../../framework/membership/view.ts';

function entry(name: string, change: Partial<SiloEntry> = {}): SiloEntry {
  return {
    name,
    incarnation: 1,
    types: [],
    labels: {},
    status: 'active',
    epoch: 0,
    unreachable: false,
    ...change,
  };
}

const [self, fellow, other] = [entry('self'), entry('fellow'), entry('other')];
const gone = (silo: SiloEntry) => ({ ...silo, unreachable: true });

function listener(known: readonly SiloEntry[], heard: readonly SiloEntry[] = []) {
  const view = new View();
  view.merge(known);
  return { view, self, hears: (silo: string) => heard.map(addressOf).includes(silo) };
}

describe('a claim that a silo is gone', () => {
  test('is believed when nothing speaks against it', () => {
    const claim = gone(fellow);
    const result = credible([claim], addressOf(other), listener([self, fellow, other]));
    expect(result).toEqual({ believed: [claim], disproved: [] });
  });

  test('is disproved about one that was heard just now, but not what else is said of it', () => {
    const claim = { ...gone(fellow), epoch: 2 };
    const result = credible([claim], addressOf(other), listener([self, fellow, other], [fellow]));
    expect(result).toEqual({ believed: [{ ...fellow, epoch: 2 }], disproved: [claim] });
  });

  test('is left out when it comes from one that is gone from here', () => {
    const result = credible([gone(fellow)], addressOf(other), listener([self, fellow, gone(other)]));
    expect(result).toEqual({ believed: [fellow], disproved: [] });
  });

  test('is left out beside one of the listener itself, which is kept: it must be refuted', () => {
    const claims = [gone(self), gone(fellow)];
    const result = credible(claims, addressOf(other), listener([self, fellow, other]));
    expect(result).toEqual({ believed: [gone(self), fellow], disproved: [] });
  });

  test('is believed beside an old one of the listener, which it has refuted', () => {
    const claims = [gone(self), gone(fellow)];
    const view = listener([fellow, other]);
    const result = credible(claims, addressOf(other), { ...view, self: { ...self, epoch: 1 } });
    expect(result.believed).toEqual(claims);
  });

  test('is nothing new about one that is gone from here, or about an earlier life', () => {
    const claims = [gone(fellow), gone(entry('other', { incarnation: 0 }))];
    const from = listener([self, gone(fellow), other], [fellow, other]);
    expect(credible(claims, addressOf(other), from)).toEqual({ believed: claims, disproved: [] });
  });
});
