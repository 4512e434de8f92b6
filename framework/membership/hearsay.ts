import { type NodeAddress, nodeName } from '../identity/silo-address.ts';
import { addressOf, parseEntries, type SiloEntry, type View } from './view.ts';

/** Who hears it. */
export interface Listener {
  readonly view: View;
  /** The silo that listens; a client is none. */
  readonly self: SiloEntry | undefined;
  /** Whether this silo itself has heard that one just now. */
  hears(silo: NodeAddress): boolean;
}

/**
 * What can be believed of what another silo says of the cluster: all of it but some claims that a silo is
 * gone. Those that this silo itself knows better come back beside it, as `disproved`.
 *
 * Hearsay does not beat one's own ears. After a split each side says of the other that all of it is gone. A
 * silo that believed this of its own side would be alone in its era until they have refuted it, and activate
 * for itself whatever is called; a client would give up calls that are answered in a moment. So a claim is
 * left out when it comes from beyond a split, or is about a silo that was heard just now. If it is true all
 * the same the views go on to differ, and it comes again.
 */
export function credible(
  entries: readonly SiloEntry[],
  from: NodeAddress,
  { view, self, hears }: Listener,
): { believed: SiloEntry[]; disproved: SiloEntry[] } {
  const claimsSelf = ({ name, epoch, unreachable }: SiloEntry) =>
    unreachable && name === self?.name && epoch >= self.epoch;
  const beyond = view.get(nodeName(from))?.unreachable || entries.some(claimsSelf);
  const doubted = entries.filter((entry) => {
    const known = view.get(entry.name);
    if (!entry.unreachable || !known || known.unreachable || entry.name === self?.name) return false;
    if (addressOf(known) !== addressOf(entry) || entry.epoch < known.epoch) return false;
    return beyond || hears(addressOf(entry));
  });
  const believed = entries.map((entry) =>
    doubted.includes(entry) ? { ...entry, unreachable: false } : entry,
  );
  return { believed, disproved: doubted.filter((entry) => hears(addressOf(entry))) };
}

/** Whether the news are what is known already, and nothing else: a silo repeats its own entry. */
export function saysOfItself(news: unknown, known: SiloEntry): boolean {
  const [entry, ...others] = parseEntries(news);
  if (!entry || others.length > 0 || addressOf(entry) !== addressOf(known)) return false;
  return entry.status === known.status && entry.epoch === known.epoch;
}
