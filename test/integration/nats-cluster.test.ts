import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { machineNow } from '../support/machine-clock.ts';
import { whyNoNamespaces } from '../support/network-namespaces.ts';
import type { Failure } from './books.ts';
import { NatsSites } from './nats-sites.ts';
import { keysOf, ProcessCluster, type Site } from './process-cluster.ts';
import type { RemoteLoad } from './remote-load.ts';
import { report } from './report.ts';

const SITES = ['one', 'two', 'three'];
const SILOS = SITES.flatMap((site) => [`${site}-a`, `${site}-b`]);
const CALL_TIMEOUT_MS = 5_000;
/** How long the cluster stays cut once both sides serve. */
const APART_MS = 2_000;
/** Silence is noticed after 2 s, and the machine is shared. */
const SERVED_MS = 6_000;
/**
 * The routes between the servers find each other again when TCP repeats what it could not deliver, which it
 * tries at twice the distance each time: after the heal it may take as long as the cut took.
 */
const HEALED_MS = SERVED_MS + APART_MS + 5_000;
/** Called from both sides of the cut: both write to one PostgreSQL. */
const SHARED = keysOf(16, 'shared-');

/** Those who stay together when site one is cut off, with a client that calls grains of its own, too. */
interface Side {
  readonly load: RemoteLoad;
  readonly silos: readonly string[];
}

class Scene implements AsyncDisposable {
  readonly sites: NatsSites;
  readonly cluster: ProcessCluster;
  readonly sides: readonly Side[];

  private constructor(sites: NatsSites, cluster: ProcessCluster, sides: readonly Side[]) {
    this.sites = sites;
    this.cluster = cluster;
    this.sides = sides;
  }

  /** Two silos at each site, and a client at two of them; resolves when all grains have answered. */
  static async start(): Promise<Scene> {
    const sites = await NatsSites.start(SITES);
    const database = await sites.postgres.createDatabase('granary');
    const siteOf = (name: string): Site => sites.site(name.split('-')[0] as string, database);
    const places = new Map(SILOS.map((name) => [name, siteOf(name)]));
    const cluster = await ProcessCluster.over(sites.postgres, places);
    const startSide = async (site: string, silos: readonly string[]): Promise<Side> => {
      const keys = [...SHARED, ...keysOf(16, `${site}-`)];
      return { load: await cluster.startLoad(siteOf(site), keys, CALL_TIMEOUT_MS), silos };
    };
    const few = SILOS.filter((name) => name.startsWith('one-'));
    const many = SILOS.filter((name) => !few.includes(name));
    const scene = new Scene(
      sites,
      cluster,
      await Promise.all([startSide('one', few), startSide('two', many)]),
    );
    await scene.answered();
    return scene;
  }

  get loads(): RemoteLoad[] {
    return this.sides.map(({ load }) => load);
  }

  /** When the last grain had answered on both sides a call made from now on. */
  async answered(since = machineNow()): Promise<number> {
    return Math.max(...(await Promise.all(this.loads.map((load) => load.untilAllAnswered(since)))));
  }

  failures(fits: (failure: Failure) => boolean): Failure[] {
    return this.loads.flatMap(({ failures }) => failures.filter(fits));
  }

  /** No more calls. What was promised was kept. */
  async expectKept(): Promise<number> {
    await Promise.all(this.loads.map((load) => load.stop()));
    await this.cluster.expectIntact(...this.loads);
    return this.cluster.expectFlawless(this.loads);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
    await this.sites[Symbol.asyncDispose]();
  }
}

/** What may go wrong while nobody knows yet that the others are gone. */
const WHEN_LOST = ['SILO_UNAVAILABLE', 'CALL_TIMEOUT'];

const why = whyNoNamespaces();
if (why) console.warn(`SKIPPED, a NATS cluster that is cut in two: ${why}`);

describe.skipIf(why)('a NATS cluster of three servers', () => {
  test('is cut in two: each side serves all grains, and after the heal each grain is active once', {
    timeout: 120_000,
  }, async () => {
    await using scene = await Scene.start();
    const { cluster, sites, sides } = scene;
    cluster.breaking();
    sites.split(['one']);
    const cutAt = machineNow();
    const servedAt = await scene.answered(cutAt);
    await wait(APART_MS);
    for (const { load, silos } of sides) {
      expect(silos).toEqual(expect.arrayContaining(load.keys.map((key) => load.place(key))));
    }

    const healedAt = machineNow();
    sites.heal();
    await cluster.settled(HEALED_MS);
    const settledAt = machineNow();
    const answeredAt = await scene.answered();
    const events = await scene.expectKept();

    const isShared = ({ key }: Failure) => SHARED.includes(key);
    // The two sides wrote to the same records: one of two was told that it was late. And nothing else.
    expect(scene.failures((each) => !isShared(each) && each.at > servedAt)).toEqual([]);
    expect(
      scene.failures(({ code, at }) => (code === 'STATE_CONFLICT' ? at < cutAt : !WHEN_LOST.includes(code))),
    ).toEqual([]);
    expect(servedAt - cutAt).toBeLessThan(SERVED_MS);
    const times = {
      'both sides serve all grains after the cut': servedAt - cutAt,
      'each grain active once after the heal': settledAt - healedAt,
      'all answered': answeredAt - healedAt,
    };
    report({ scenario: 'a NATS cluster cut in two', times, books: scene.loads, events });
  });

  test('is cut in two, one side from PostgreSQL too: that fails by name, the other serves all grains', {
    timeout: 120_000,
  }, async () => {
    await using scene = await Scene.start();
    const { cluster, sites, sides } = scene;
    const [few, many] = sides.map(({ load }) => load) as [RemoteLoad, RemoteLoad];
    cluster.breaking();
    sites.split(['one'], { database: true });
    const cutAt = machineNow();
    const servedAt = await many.untilAllAnswered(cutAt);
    await few.until(() => few.keys.every((key) => few.failures.some((each) => each.key === key)));
    const healedAt = machineNow();
    sites.heal();
    await cluster.settled(HEALED_MS);
    const settledAt = machineNow();
    const answeredAt = await scene.answered(healedAt);
    const events = await scene.expectKept();

    // What was on its way when the cut came may have been answered; nothing after that was.
    const apart = few.keys
      .flatMap((key) => few.answers(key))
      .filter(({ startedAt, at }) => startedAt > cutAt && at < healedAt);
    expect(apart).toEqual([]);
    const named = [...WHEN_LOST, 'STATE_CONFLICT', 'STORE_FAILED', 'ACTIVATION_FAILED'];
    expect(scene.failures(({ code }) => !named.includes(code))).toEqual([]);
    expect(many.failures.filter(({ at }) => at > servedAt && at < healedAt)).toEqual([]);
    const longest = Math.max(...scene.failures(() => true).map(({ startedAt, at }) => at - startedAt));
    expect(longest).toBeLessThan(CALL_TIMEOUT_MS + 1_000);
    const times = {
      'the side with PostgreSQL serves all grains after the cut': servedAt - cutAt,
      'each grain active once after the heal': settledAt - healedAt,
      'all answered': answeredAt - healedAt,
    };
    report({ scenario: 'a cut from NATS and PostgreSQL', times, books: scene.loads, events });
  });

  test('loses a server: its silos and clients go on through the others', { timeout: 120_000 }, async () => {
    await using scene = await Scene.start();
    const { cluster, sites } = scene;
    cluster.breaking();
    const killedAt = machineNow();
    await sites.server('one').kill();
    const [answeredAt, settledAt] = await Promise.all([
      scene.answered(killedAt),
      cluster.settled().then(() => machineNow()),
    ]);
    await scene.answered();
    const events = await scene.expectKept();
    expect(scene.failures(({ code, at }) => !WHEN_LOST.includes(code) && at > settledAt)).toEqual([]);
    // An answer that was on its way through that server is lost: its caller waits until the deadline.
    expect(answeredAt - killedAt).toBeLessThan(CALL_TIMEOUT_MS + SERVED_MS);
    const times = { 'all answered': answeredAt - killedAt, settled: settledAt - killedAt };
    report({ scenario: 'the loss of one of three NATS servers', times, books: scene.loads, events });
  });
});
