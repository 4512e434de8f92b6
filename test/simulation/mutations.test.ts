import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { mutated, ROOT } from './mutations/mutated-tree.ts';
import { MUTATIONS, type Mutation } from './mutations/mutations.ts';

// That each of them is caught takes minutes: `npm run mutations`.

test.each(MUTATIONS.map((mutation) => [mutation.name, mutation] as const))(
  'it is known where this mistake belongs: %s',
  async (_name, mutation) => {
    const code = await mutated(mutation);
    expect(code).toContain(mutation.by);
    expect(code).not.toBe(readFileSync(join(ROOT, mutation.file), 'utf8'));
  },
);

test('a mistake whose place is gone, or is not the only one, is not tried silently', async () => {
  const [mutation] = MUTATIONS as [Mutation];
  await expect(mutated({ ...mutation, replace: 'no such code' })).rejects.toThrow('is 0 times in');
  await expect(mutated({ ...mutation, replace: '\n' })).rejects.toThrow(/is \d\d+ times in/);
});

test('names tell mistakes apart, and each has seeds', () => {
  expect(new Set(MUTATIONS.map(({ name }) => name)).size).toBe(MUTATIONS.length);
  expect(MUTATIONS.filter(({ seeds }) => seeds.length === 0)).toEqual([]);
});

test('the guide has the list', () => {
  const guide = readFileSync(join(ROOT, 'docs/testing.md'), 'utf8');
  const [, section = ''] = guide.split('## How the checkers were checked');
  const rows =
    section
      .split('\n## ')[0]
      ?.split('\n')
      .filter((line) => line.startsWith('| ')) ?? [];
  expect(rows.slice(1)).toEqual(
    MUTATIONS.map(
      ({ name, file, caughtBy, seeds }) => `| ${name} | \`${file}\` | ${caughtBy} | ${seeds.join(', ')} |`,
    ),
  );
});
