import type { NodeAddress } from '../identity/silo-address.ts';
import type { ControlChannel } from '../messaging/control-channel.ts';
import { isPowerOfTwo } from '../ring/ring.ts';
import type { Clock, Timer } from '../system/clock.ts';
import { type Cluster, type Departure, type Era, EraKeeper } from './cluster.ts';
import { credible } from './hearsay.ts';
import { parseEntries, type SiloEntry, STATUSES, View } from './view.ts';

export interface ViewFollowerOptions {
  readonly partitions: number;
  readonly refreshMs: number;
  readonly clock: Clock;
  readonly control: ControlChannel;
}

/**
 * The cluster as a client knows it: it hears the silos' news, and asks one of them now and then in case it
 * missed some.
 */
export class ViewFollower implements Cluster {
  readonly #options: ViewFollowerOptions;
  #view = new View();
  readonly #keeper: EraKeeper;
  #timer: Timer | undefined;
  #asking: Promise<void> | undefined;
  /** News that came while a silo was asked: its answer may be older than they are. */
  #heardMeanwhile: SiloEntry[] = [];
  #stopped = false;

  constructor(options: ViewFollowerOptions) {
    this.#options = options;
    this.#keeper = new EraKeeper(this.#view, options);
    const { control } = options;
    control.on('news', (from, body) => this.#learn(body, from));
    control.on('view', (from, body) => this.#learn(Array.isArray(body) ? body[0] : undefined, from));
    control.on('ping', () => this.#view.digest);
  }

  get era(): Era {
    return this.#keeper.current;
  }

  onEra(listener: (era: Era, departed: readonly Departure[]) => void): () => void {
    return this.#keeper.onEra(listener);
  }

  /** Something sent to it found nobody: the silos are told, and asked what they know. */
  suspect(silo: NodeAddress): void {
    if (this.era.present.has(silo)) void this.refresh(silo);
  }

  /** Asks a silo for the view now. Resolves when it answered, or when none did. */
  refresh(suspected: NodeAddress | null = null): Promise<void> {
    if (!this.#asking) this.#heardMeanwhile = [];
    this.#asking ??= this.#options.control
      .requestAnySilo('follow', suspected, 2_000)
      .then(
        (answer) => this.#replace(answer),
        () => {},
      )
      .finally(() => {
        this.#asking = undefined;
        this.#schedule();
      });
    return this.#asking;
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#keeper.stop();
  }

  #schedule(): void {
    this.#timer?.cancel();
    if (this.#stopped) return;
    // Without a silo in sight, the first to appear will be heard by its news; asking is for news that was
    // lost.
    this.#timer = this.#options.clock.inBackground(this.#options.refreshMs, () => void this.refresh());
  }

  #learn(body: unknown, from: NodeAddress): void {
    const listener = { view: this.#view, self: undefined, hears: () => false };
    const entries = credible(parseEntries(body), from, listener).believed;
    if (this.#asking) this.#heardMeanwhile.push(...entries);
    if (this.#view.merge(entries).length > 0) this.#keeper.update(this.#view);
  }

  /**
   * A silo's view takes the place of ours: silos that nobody remembers, since all that knew them are gone
   * too, must go here as well. But it may not have heard yet what we have: that a silo has come back, say. To
   * forget that for a moment would give up the calls that it has.
   */
  #replace(answer: unknown): void {
    const [partitions, entries] = Array.isArray(answer) ? answer : [];
    if (isPowerOfTwo(partitions)) this.#keeper.partitions = partitions;
    const before = this.#view;
    this.#view = new View();
    this.#view.merge(parseEntries(entries).map((entry) => together(before.get(entry.name), entry)));
    this.#view.merge(this.#heardMeanwhile);
    this.#heardMeanwhile = [];
    this.#keeper.update(this.#view);
  }
}

/** What both together know of a silo, but for a claim that is known and may have been taken back since. */
function together(known: SiloEntry | undefined, news: SiloEntry): SiloEntry {
  if (!known || known.incarnation < news.incarnation) return news;
  if (known.incarnation > news.incarnation) return known;
  const status = STATUSES.indexOf(known.status) > STATUSES.indexOf(news.status) ? known.status : news.status;
  const { epoch, unreachable } = known.epoch > news.epoch ? known : news;
  return { ...news, status, epoch, unreachable };
}
