import type { Client, GrainStore } from 'granary';
import { Account } from '../bank/account.ts';
import type { Places } from './places.ts';

/** Where the demo plays: silos of its own, or a running cluster. */
export interface Stage {
  readonly title: string;
  readonly client: Client;
  readonly places: Places;
  /** The silos that have been there, in the order in which they came. */
  readonly silos: ReadonlyMap<string, SiloState>;
  /** Calls that Granary has tried again by itself. */
  readonly retried: number;
  /** Where the money is, when the stage knows. Open until `end`. */
  readonly store: GrainStore | undefined;
  /** What happens to the silos while transfers are made; resolves when all of it has. */
  play(progress: Progress, tell: Tell, accounts: readonly string[]): Promise<void>;
  /** The silos of the demo stop. */
  clear(): Promise<void>;
  end(): Promise<void>;
}

export type SiloState = 'up' | 'crashed' | 'leaving' | 'left' | 'joining' | 'gone';

/** Says what has just happened. */
export type Tell = (text: string) => void;

export interface Progress {
  /** Resolves when so much of the demo is over, from 0 to 1. */
  reaches(share: number): Promise<void>;
}

/** Calls all accounts of a silo that is lost; resolves when every one has answered, from elsewhere. */
export async function recovered(client: Client, accounts: readonly string[]): Promise<void> {
  await Promise.all(accounts.map((key) => client.grain(Account, key).$with({ timeoutMs: 20_000 }).balance()));
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 100 ? 2 : 1)} s`;
}
