import { InvalidConfigError } from '../errors.ts';
import type { Labels } from '../identity/labels.ts';
import { type NodeAddress, nodeName } from '../identity/silo-address.ts';
import type { ControlChannel } from '../messaging/control-channel.ts';
import type { RuntimeEvents } from '../observability/events.ts';
import type { Clock, Timer } from '../system/clock.ts';
import type { Endpoint } from '../transport/transport.ts';
import { type Cluster, type Departure, type Era, EraKeeper } from './cluster.ts';
import { type DetectionTimes, Heartbeats } from './failure-detector.ts';
import { credible, saysOfItself } from './hearsay.ts';
import { neighbours } from './neighbours.ts';
import { Probes } from './probes.ts';
import { addressOf, parseEntries, parseEntry, type SiloEntry, type SiloStatus, View } from './view.ts';

export interface MembershipOptions {
  readonly name: string;
  readonly incarnation: number;
  readonly types: readonly string[];
  readonly labels: Labels;
  readonly partitions: number;
  readonly times: DetectionTimes;
  readonly clock: Clock;
  readonly events: RuntimeEvents;
  readonly control: ControlChannel;
  readonly endpoint: Endpoint;
}

/**
 * Every so many heartbeats one goes to any silo at all. Two clusters that do not know of each other meet by
 * it: those of two sides of a split whose silos were all started again meanwhile, say.
 */
const MEET_BEATS = 8;

/**
 * A silo's part in its cluster: it tells where it is in its life, watches a few others and is watched by a
 * few, and spreads what it learns.
 *
 * News (a status, a claim, a refutation) is broadcast once. Heartbeats carry a digest of the view, so what a
 * broadcast lost is found at the next heartbeat and repaired by exchanging views. A silo that is claimed
 * unreachable and hears of it refutes the claim by a new epoch.
 */
export class Membership implements Cluster {
  readonly #options: MembershipOptions;
  readonly #clock: Clock;
  readonly #control: ControlChannel;
  readonly #view = new View();
  readonly #keeper: EraKeeper;
  readonly #watched = new Map<NodeAddress, Heartbeats>();
  readonly #probes: Probes;
  readonly #disagreements = new Set<NodeAddress>();
  #self: SiloEntry;
  #tick: Timer | undefined;
  #lastTickAt: number;
  /** When this node was last cut off and came back; never, at first. */
  #connectedAt = Number.NEGATIVE_INFINITY;
  #beats = 0;
  #away = false;
  #stopped = false;
  #replacedBy: NodeAddress | undefined;
  /**
   * Whether others may hear of this silo. Not before it knows that no silo of its name is running: that one
   * would give way to it.
   */
  #announced = false;
  #viewListeners: (() => void)[] = [];

  /** A later silo of this name has joined: this one must end. */
  onReplaced: (by: NodeAddress) => void = () => {};
  /** Each heartbeat; the directory re-asserts a little of what this silo owns. */
  onHeartbeat: () => void = () => {};

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#control = options.control;
    const { name, incarnation, types, labels } = options;
    this.#self = { name, incarnation, types, labels, status: 'joining', epoch: 0, unreachable: false };
    this.#view.merge([this.#self]);
    this.#keeper = new EraKeeper(this.#view, { ...options, mayBegin: () => !this.#away });
    this.#lastTickAt = this.#clock.now();
    this.#probes = new Probes({
      control: this.#control,
      probeMs: options.times.probeMs,
      others: (silo) => [...this.era.present].filter((each) => each !== silo && each !== this.address),
      heard: (silo) => this.#heard(silo),
    });
    this.#listen();
  }

  get era(): Era {
    return this.#keeper.current;
  }

  get address(): NodeAddress {
    return addressOf(this.#self);
  }

  get status(): SiloStatus {
    return this.#self.status;
  }

  /** This silo's own epoch: while it stays the same, nobody has taken over what this silo holds. */
  get epoch(): number {
    return this.#self.epoch;
  }

  /** While it stays the same, nobody has come back who may have been in a cluster of its own (see `View`). */
  get returns(): number {
    return this.#view.returns;
  }

  /** This silo was paused and has not heard yet what happened meanwhile. */
  get away(): boolean {
    return this.#away;
  }

  /** The later silo of this name that has joined, if one has. */
  get replacedBy(): NodeAddress | undefined {
    return this.#replacedBy;
  }

  get view(): readonly SiloEntry[] {
    return this.#view.entries();
  }

  onEra(listener: (era: Era, departed: readonly Departure[]) => void): () => void {
    return this.#keeper.onEra(listener);
  }

  /**
   * Joins: hears the view from a silo that is there, or finds that this one is the first. Resolves when this
   * silo is active.
   */
  async join(): Promise<void> {
    this.#tick = this.#clock.inBackground(this.#options.times.heartbeatMs, () => this.#beat());
    while (!(await this.#hearView())) {
      this.#announced = true;
      const firstToGo = await this.#mayBeFirst();
      if (firstToGo) break;
    }
    this.#announced = true;
    this.#news([this.#self]);
    // What it heard may lack what was under way just then; whoever sees that in the digest makes up for it.
    for (const each of this.#watchers(this.#self))
      this.#control.send(addressOf(each), 'beat', this.#view.digest);
    this.#options.endpoint.serve();
    this.#become({ status: 'active' });
    await this.#options.endpoint.flush();
  }

  /** From now on this silo gets nothing new to own; it still holds what it has. */
  leave(): void {
    this.#options.endpoint.unserve();
    this.#become({ status: 'leaving' });
  }

  /** This silo holds nothing any more. */
  left(): void {
    this.#become({ status: 'left' });
    this.stop();
  }

  stop(): void {
    this.#stopped = true;
    this.#tick?.cancel();
    this.#keeper.stop();
  }

  suspect(silo: NodeAddress): void {
    if (this.era.present.has(silo)) this.#probes.ask(silo);
  }

  connectionChanged(connected: boolean): void {
    this.#connectedAt = this.#clock.now();
    this.#excuseOthers();
    if (connected) this.#reintroduce();
  }

  /**
   * Notices that this silo was paused: its own heartbeat is later than the time after which others give it
   * up. To be asked before every turn with the present time; cheap.
   */
  checkAway(now: number): boolean {
    const { heartbeatMs, suspectMs } = this.#options.times;
    // From the last heartbeat that was sent, as the others count: never later than they.
    const silentMs = now - this.#lastTickAt;
    if (silentMs > suspectMs && !this.#away && this.#self.status !== 'joining') {
      this.#lastTickAt = now;
      void this.#comeBack(silentMs - heartbeatMs);
    }
    return this.#away;
  }

  /** The others' silence means nothing when this silo could not have heard them. */
  #excuseOthers(): void {
    const now = this.#clock.now();
    for (const heartbeats of this.#watched.values()) heartbeats.excuse(now);
  }

  #reintroduce(): void {
    this.#news([this.#self]);
    for (const entry of this.#view.entries()) if (entry !== this.#self) this.#sendView(addressOf(entry));
  }

  async #comeBack(forMs: number): Promise<void> {
    this.#away = true;
    this.#options.events.publish({ type: 'awayNoticed', forMs });
    this.#excuseOthers();
    for (;;) {
      // Of the view, not of the era: those of before may all have gone, and others come.
      const others = this.#view
        .present()
        .map(addressOf)
        .filter((silo) => silo !== this.address);
      const heard = await Promise.any(others.map((silo) => this.#exchangeViews(silo))).then(
        () => true,
        () => others.length === 0,
      );
      if (this.#stopped) return;
      if (heard) break;
      // Who could have been heard and was not is found gone as always; turns wait until that has settled.
      if (this.#options.endpoint.connected) break;
      await this.#viewOrDelay(this.#options.times.heartbeatMs);
    }
    this.#away = false;
    this.#become({ epoch: this.#self.epoch + 1, unreachable: false });
  }

  async #exchangeViews(silo: NodeAddress): Promise<void> {
    const { suspectMs } = this.#options.times;
    const answer = await this.#control.request(silo, 'exchange', this.#view.entries(), suspectMs);
    this.#learn(Array.isArray(answer) ? answer[1] : undefined, silo);
  }

  // ---- what others say

  #listen(): void {
    const control = this.#control;
    control.on('join', (_from, body) => this.#admit(body));
    control.on('news', (from, body) => {
      this.#heard(from);
      const known = this.#view.get(nodeName(from));
      this.#learn(body, from);
      // It may have asked a silo that is frozen: those that will watch it tell it. But not when it answers a
      // view with news: they would bring another view, and so on for ever.
      if (known?.status !== 'joining' || !saysOfItself(body, known)) return;
      if (this.#self.status === 'active' && this.#watchers(known).includes(this.#self)) this.#sendView(from);
    });
    control.on('view', (from, body) => {
      const [entries, digest] = Array.isArray(body) ? body : [];
      this.#heard(from);
      this.#learn(entries, from);
      const lacking = digest === this.#view.digest ? [] : this.#beyond(entries);
      if (lacking.length > 0) this.#control.send(from, 'news', lacking);
    });
    control.on('exchange', (from, body) => {
      this.#learn(body, from);
      return [this.#options.partitions, this.#view.entries()];
    });
    control.on('beat', (from, body) => this.#beatFrom(from, body));
    control.on('follow', (_from, suspected) => {
      if (typeof suspected === 'string') this.suspect(suspected);
      return [this.#options.partitions, this.#view.entries()];
    });
    control.onUndeliverable = (to) => this.#nobodyAt(to);
  }

  #admit(body: unknown): SiloEntry[] {
    const { entry, partitions } = (body ?? {}) as { entry?: unknown; partitions?: unknown };
    const joiner = parseEntry(entry);
    if (!joiner) throw new InvalidConfigError('the join request is malformed');
    if (partitions !== this.#options.partitions) {
      throw new InvalidConfigError(
        `silo '${joiner.name}' has ${String(partitions)} partitions, ` +
          `the cluster has ${this.#options.partitions}; ` +
          'the number of partitions is one value per cluster',
      );
    }
    return this.#view.entries();
  }

  #beatFrom(from: NodeAddress, digest: unknown): void {
    this.#heard(from);
    if (digest === this.#view.digest) {
      this.#disagreements.delete(from);
      return;
    }
    // News may be on its way still: only a difference that lasts is repaired. One that is joining, that we
    // claimed gone, or that we know another life of, must hear of it at once.
    const lasts = this.#disagreements.delete(from);
    const known = this.#view.get(nodeName(from));
    const isKnown = known && addressOf(known) === from && !known.unreachable && known.status !== 'joining';
    if (lasts || !isKnown) this.#sendView(from);
    else this.#disagreements.add(from);
  }

  #heard(from: NodeAddress): void {
    this.#watched.get(from)?.heard(this.#clock.now());
  }

  /** What this silo knows that these entries lack. */
  #beyond(entries: unknown): SiloEntry[] {
    const theirs = new View();
    theirs.merge(parseEntries(entries));
    return theirs.merge(this.#view.entries());
  }

  #learn(body: unknown, from?: NodeAddress): void {
    const entries = parseEntries(body);
    const changed = this.#view.merge(from === undefined ? entries : this.#believed(entries, from));
    if (changed.length === 0) return;
    const self = this.#view.get(this.#options.name) as SiloEntry;
    if (self.incarnation !== this.#options.incarnation) {
      this.stop();
      this.#replacedBy = addressOf(self);
      return this.onReplaced(this.#replacedBy);
    }
    this.#self = self;
    if (self.unreachable) this.#become({ epoch: self.epoch + 1, unreachable: false }); // refutes it
    this.#changed();
  }

  /** Who is said to be gone and was heard just now is told, and refutes it. */
  #believed(entries: readonly SiloEntry[], from: NodeAddress): readonly SiloEntry[] {
    if (this.#away) return entries;
    const now = this.#clock.now();
    const { probeMs } = this.#options.times;
    const hears = (silo: NodeAddress) => this.#watched.get(silo)?.heardWithin(probeMs, now) ?? false;
    const { believed, disproved } = credible(entries, from, { view: this.#view, self: this.#self, hears });
    for (const entry of disproved) this.#control.send(addressOf(entry), 'news', [entry]);
    return believed;
  }

  #become(change: Partial<SiloEntry>): void {
    this.#view.merge([{ ...this.#self, ...change }]);
    // The view's entry, not a copy: who is not this very one is somebody else, and to be watched.
    this.#self = this.#view.get(this.#options.name) as SiloEntry;
    this.#news([this.#self]);
    this.#changed();
  }

  #changed(): void {
    if (this.#away) return;
    this.#keeper.update(this.#view);
    const listeners = this.#viewListeners;
    this.#viewListeners = [];
    for (const listener of listeners) listener();
  }

  #news(entries: readonly SiloEntry[]): void {
    if (this.#announced) this.#control.broadcast('news', entries);
  }

  #sendView(to: NodeAddress): void {
    this.#control.send(to, 'view', [this.#view.entries(), this.#view.digest]);
  }

  // ---- joining

  /** Asks a silo that is there for its view. False when there is none. */
  async #hearView(): Promise<boolean> {
    const body = { entry: this.#self, partitions: this.#options.partitions };
    let entries: SiloEntry[];
    try {
      entries = parseEntries(await this.#control.requestAnySilo('join', body, this.#options.times.suspectMs));
    } catch (error) {
      if (error instanceof InvalidConfigError) throw error;
      return false;
    }
    const mine = entries.find((entry) => entry.name === this.#options.name);
    if (mine && mine.incarnation !== this.#options.incarnation) await this.#replace(mine);
    this.#learn(entries);
    return true;
  }

  /**
   * A silo of this name has been here before. One that still answers must not be pushed out by a
   * configuration mistake.
   */
  async #replace(earlier: SiloEntry): Promise<void> {
    const gone = earlier.status === 'left' || earlier.unreachable;
    const answers = !gone && (await this.#probes.isThere(addressOf(earlier)));
    if (answers || earlier.incarnation > this.#options.incarnation) {
      throw new InvalidConfigError(
        answers
          ? `a silo named '${earlier.name}' is running in this cluster; give each silo a name of its own`
          : `the cluster has seen a later start of silo '${earlier.name}'; set this machine's clock`,
      );
    }
  }

  /**
   * Nobody is active. Of those that are starting at the same moment the first by name goes first, the others
   * join it.
   */
  async #mayBeFirst(): Promise<boolean> {
    const { endpoint } = this.#options;
    await endpoint.flush();
    this.#news([this.#self]);
    if (endpoint.discoveryMs > 0) await this.#viewOrDelay(endpoint.discoveryMs, true);
    const reachable = this.#view.entries().filter((e) => !e.unreachable);
    const active = reachable.filter((e) => e.status === 'active');
    const ahead = reachable.filter((e) => e.status === 'joining' && e.name < this.#options.name);
    if (active.length + ahead.length === 0) return true;
    for (const entry of [...active, ...ahead]) this.#probes.ask(addressOf(entry));
    await this.#viewOrDelay(this.#options.times.heartbeatMs);
    return false;
  }

  /** Resolves at the next change of the view, at the latest after `delayMs`; with `whole`, only then. */
  #viewOrDelay(delayMs: number, whole = false): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.after(delayMs, resolve);
      if (!whole) {
        this.#viewListeners.push(() => {
          timer.cancel();
          resolve();
        });
      }
    });
  }

  // ---- watching and being watched

  #beat(): void {
    const { times } = this.#options;
    const now = this.#clock.now();
    this.checkAway(now);
    this.#lastTickAt = now;
    this.#tick = this.#clock.inBackground(times.heartbeatMs, () => this.#beat());
    if (this.#self.status === 'joining') this.#news([this.#self]);
    const others = this.#view.entries().filter((e) => e.status !== 'left' && e !== this.#self);
    const { watchers, watched } = neighbours(
      this.#self,
      others.filter((e) => !e.unreachable),
    );
    for (const entry of watchers) this.#control.send(addressOf(entry), 'beat', this.#view.digest);
    this.#knock(others.filter((e) => e.unreachable));
    if (++this.#beats % MEET_BEATS === 0) this.#control.sendToAnySilo('beat', this.#view.digest);
    this.#judge(now, watched);
    this.onHeartbeat();
  }

  /**
   * One silo that is claimed gone gets a heartbeat now and then, so that two halves find each other again.
   */
  #knock(gone: readonly SiloEntry[]): void {
    const entry = gone[this.#beats % Math.max(gone.length, 1)];
    if (entry) this.#control.send(addressOf(entry), 'beat', this.#view.digest);
  }

  #judge(now: number, mine: readonly SiloEntry[]): void {
    const addresses = new Set(mine.map(addressOf));
    for (const heard of [this.#watched, this.#disagreements]) {
      for (const silo of heard.keys()) if (!addresses.has(silo)) heard.delete(silo);
    }
    for (const entry of mine) {
      const silo = addressOf(entry);
      const heartbeats = this.#watched.get(silo) ?? new Heartbeats(this.#options.times, now);
      this.#watched.set(silo, heartbeats);
      if (!this.#options.endpoint.connected || this.#away) continue;
      const verdict = heartbeats.judge(now);
      if (verdict === 'suspect') this.#claim(silo, `silent for ${Math.round(heartbeats.suspectMs)} ms`);
      else if (verdict === 'probe') {
        this.#probes.ask(silo);
        void this.#probes.seek(silo);
      }
    }
  }

  #watchers(entry: SiloEntry): readonly SiloEntry[] {
    const others = this.#view.entries().filter((e) => e.status !== 'left' && !e.unreachable && e !== entry);
    return neighbours(entry, others).watchers;
  }

  #nobodyAt(silo: NodeAddress): void {
    const { endpoint, times } = this.#options;
    // After this node was cut off, others may be reconnecting too: nobody there proves nothing for a while.
    if (!endpoint.connected || this.#away || this.#clock.now() - this.#connectedAt < times.suspectMs) {
      if (this.#view.get(nodeName(silo))?.status !== 'joining') return;
    }
    void this.#probes.seek(silo).then((reached) => reached || this.#claim(silo, 'nobody listens there'));
  }

  #claim(silo: NodeAddress, reason: string): void {
    const entry = this.#view.get(nodeName(silo));
    if (!entry || addressOf(entry) !== silo || entry === this.#self) return;
    if (entry.unreachable || entry.status === 'left') return;
    this.#options.events.publish({ type: 'siloSuspected', silo, reason });
    this.#news(this.#view.merge([{ ...entry, unreachable: true }]));
    this.#changed();
  }
}
