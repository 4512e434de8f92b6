/** What is compared, in cents; accounts in the same order everywhere. */
export interface Books {
  /** What all accounts were opened with. */
  readonly opened: number;
  /** What each account must have, by the answers to the transfers. */
  readonly expected: readonly number[];
  /** What the grains say. */
  readonly grains: readonly number[];
  /** Payments of standing orders that were missed, or made twice. */
  readonly irregular: number;
  /** What is stored; undefined when the store could not be asked. */
  readonly stored: readonly number[] | undefined;
}

export interface Proof {
  readonly lines: readonly string[];
  /** Of the process. */
  readonly exitCode: 0 | 1;
}

/**
 * Whether every cent is where it must be. The sum alone would not tell a transfer that was made twice: so
 * each account is compared with what the answered transfers make of it.
 */
export function prove({ opened, expected, grains, stored, irregular }: Books): Proof {
  const lines = [`opened with      ${amount(opened)}`];
  let right = irregular === 0;
  const compare = (who: string, cents: readonly number[]) => {
    const missing = opened - sum(cents);
    const wrong = expected.filter((account, index) => account !== cents[index]).length;
    right &&= missing === 0 && wrong === 0 && cents.length === expected.length;
    lines.push(`${who.padEnd(16)} ${amount(sum(cents))}, ${wrong} of ${expected.length} accounts are wrong`);
    if (missing !== 0) {
      lines.push(`${' '.repeat(16)} ${amount(Math.abs(missing))} ${missing > 0 ? 'missing' : 'too much'}`);
    }
  };
  compare('the grains say', grains);
  if (stored) compare('the store says', stored);
  if (irregular > 0) lines.push(`${irregular} payments of standing orders were missed, or made twice`);
  lines.push(right ? 'PROVED: not a cent is missing.' : 'NOT PROVED: the money is not what it must be.');
  return { lines, exitCode: right ? 0 : 1 };
}

function sum(cents: readonly number[]): number {
  return cents.reduce((total, each) => total + each, 0);
}

function amount(cents: number): string {
  return (cents / 100).toLocaleString('en-US', { minimumFractionDigits: 2 }).padStart(14);
}
