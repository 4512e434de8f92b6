import { InvalidConfigError, NotSerializableError, OverloadedError } from '../errors.ts';
import type { GrainId } from '../identity/grain-id.ts';
import { LIMITS } from '../limits.ts';
import { checkKnown, checkNumber } from './checks.ts';
import { failureOf } from './observer-failure.ts';
import type { ObserverRef } from './observer-types.ts';
import { Reference } from './reference.ts';

export interface NotifyOptions {
  /** How long each observer may take to answer. Default 1 s: the turn that notifies waits for the slowest. */
  readonly deadlineMs?: number;
  /** An observer that has said nothing this often in a row is dropped. Default 3. */
  readonly tries?: number;
  /**
   * How long nobody may have listened where an observer was, before it is dropped. Default 10 s: a client
   * that lost its connection is back by then. 0 drops at once.
   */
  readonly unreachableMs?: number;
  /** An observer that was added, or added again, longer ago than this is dropped. Default: never. */
  readonly expiresMs?: number;
}

/** What has become of one `notify`. */
export interface Notified<T> {
  /** Observers whose method has run to its end. */
  readonly reached: number;
  /** Observers that are not in the list any more. Save, if the list is part of a grain's state. */
  readonly dropped: number;
  /** Who was called and has not answered, or with an error, and why. */
  readonly failures: readonly { readonly observer: ObserverRef<T>; readonly error: unknown }[];
}

interface Member<T> {
  observer: ObserverRef<T>;
  /** When it was added last, in wall-clock milliseconds; so is `unreachableSince`. */
  addedAt: number;
  /** Calls in a row that it has said nothing to. */
  silent: number;
  /** When it was first found unreachable, if it has been ever since. */
  unreachableSince: number | undefined;
}

const OPTIONS: readonly (keyof NotifyOptions)[] = ['deadlineMs', 'tries', 'unreachableMs', 'expiresMs'];
const DEFAULTS = { deadlineMs: 1_000, tries: 3, unreachableMs: 10_000, expiresMs: Number.POSITIVE_INFINITY };

/**
 * The observers of a grain, in the order in which they were added: tells all of them, and forgets those that
 * are gone. May be a `@state` field, and is then saved and read with the others.
 *
 * ```ts
 * @state() watchers = new Observers<Watcher>();
 * await this.watchers.notify((watcher) => watcher.moved(x, y));
 * ```
 */
export class Observers<T> {
  readonly #members = new Map<GrainId, Member<T>>();

  get size(): number {
    return this.#members.size;
  }

  /** Those that would be told now. */
  [Symbol.iterator](): IterableIterator<ObserverRef<T>> {
    return [...this.#members.values()].map(({ observer }) => observer).values();
  }

  has({ $id }: { readonly $id: GrainId }): boolean {
    return this.#members.has($id);
  }

  /**
   * Adds an observer; one that is there already counts as new, which puts off `expiresMs`. Throws
   * `OverloadedError` when there are 10,000 others.
   */
  add(observer: ObserverRef<T>): this {
    if (!isReference(observer)) {
      throw new InvalidConfigError('Observers.add: give the reference that observe() returned, or a grain');
    }
    const id = observer.$id;
    if (this.#members.size >= LIMITS.observers && !this.#members.has(id)) {
      const text = `${id}: there are ${LIMITS.observers} observers already; spread them over several grains`;
      throw new OverloadedError(text, { grain: id });
    }
    this.#members.set(id, { observer, addedAt: now(observer), silent: 0, unreachableSince: undefined });
    return this;
  }

  /** False when it was not there. */
  delete({ $id }: { readonly $id: GrainId }): boolean {
    return this.#members.delete($id);
  }

  /**
   * Calls every observer, all at once, and waits until each has answered or failed; no longer than
   * `deadlineMs`, whoever is slow. Drops those that are gone. Rejects only when `call` itself throws, and
   * with `InvalidConfigError`.
   */
  async notify(
    call: (observer: ObserverRef<T>) => unknown,
    options: NotifyOptions = {},
  ): Promise<Notified<T>> {
    const terms = { ...DEFAULTS, ...checked(options) };
    const before = this.#members.size;
    for (const [id, { observer, addedAt }] of this.#members) {
      if (now(observer) - addedAt > terms.expiresMs) this.#members.delete(id);
    }
    const expired = before - this.#members.size;
    // All calls are made before the first is awaited: a `call` that throws is the grain's mistake.
    const calls = [...this.#members.values()].map((member) => {
      const startedAt = now(member.observer);
      const answer = call(member.observer.$with({ timeoutMs: terms.deadlineMs }));
      return { member, startedAt, outcome: outcomeOf(answer) };
    });
    const failures: { observer: ObserverRef<T>; error: unknown }[] = [];
    let dropped = expired;
    for (const { member, startedAt, outcome } of calls) {
      const failed = await outcome;
      if (!failed) revive(member);
      else failures.push({ observer: member.observer, error: failed.error });
      if (failed && this.#isOver(member, failed.error, startedAt, terms) && this.#drop(member)) dropped++;
    }
    return { reached: calls.length - failures.length, dropped, failures };
  }

  /** Whether this failure was one too many. */
  #isOver(member: Member<T>, error: unknown, startedAt: number, terms: Required<NotifyOptions>): boolean {
    const at = now(member.observer);
    switch (failureOf(error, member.observer.$id)) {
      case 'gone':
        return true;
      case 'unreachable':
        member.unreachableSince ??= startedAt;
        return at - member.unreachableSince >= terms.unreachableMs;
      case 'silent':
        // It had less time than it was to have, since the turn's own deadline came first: not its fault.
        if (at - startedAt >= terms.deadlineMs) member.silent++;
        return member.silent >= terms.tries;
      case 'own':
        revive(member);
        return false;
      case 'elsewhere':
        return false;
    }
  }

  /** Unless it was removed, or added again, meanwhile. */
  #drop(member: Member<T>): boolean {
    const { $id } = member.observer;
    return this.#members.get($id) === member && this.#members.delete($id);
  }

  static encode(observers: Observers<unknown>): unknown[] {
    return [...observers.#members.values()].map(({ observer, addedAt, silent, unreachableSince }) => [
      observer,
      addedAt,
      silent,
      unreachableSince ?? null,
    ]);
  }

  /** Throws `NotSerializableError` for data that is none of `encode`. */
  static decode(data: unknown): Observers<unknown> {
    const observers = new Observers<unknown>();
    for (const entry of Array.isArray(data) ? (data as unknown[]) : [undefined]) {
      const [observer, addedAt, silent, since] = Array.isArray(entry) ? (entry as unknown[]) : [];
      if (!isReference(observer) || typeof addedAt !== 'number' || typeof silent !== 'number') {
        throw new NotSerializableError('this is no list of observers');
      }
      const unreachableSince = typeof since === 'number' ? since : undefined;
      observers.#members.set(observer.$id, { observer, addedAt, silent, unreachableSince });
    }
    return observers;
  }
}

function isReference(value: unknown): value is ObserverRef<unknown> {
  return typeof value === 'object' && value !== null && Reference.is(value);
}

/** The wall clock of whoever the reference belongs to: time is that of the silo, or of the simulation. */
function now(observer: unknown): number {
  return Reference.callerOf(observer as Reference).now();
}

/** It has shown that it is there. */
function revive(member: Member<unknown>): void {
  member.silent = 0;
  member.unreachableSince = undefined;
}

/** What a call failed with; undefined when it did not. Never rejects. */
async function outcomeOf(answer: unknown): Promise<{ readonly error: unknown } | undefined> {
  try {
    await answer;
    return undefined;
  } catch (error) {
    return { error };
  }
}

function checked(options: NotifyOptions): NotifyOptions {
  const where = 'Observers.notify';
  checkKnown(where, options, OPTIONS);
  checkNumber(where, 'deadlineMs', options.deadlineMs, 1, LIMITS.callTimeoutMaxMs);
  checkNumber(where, 'tries', options.tries, 1, Number.MAX_SAFE_INTEGER);
  checkNumber(where, 'unreachableMs', options.unreachableMs, 0, Number.MAX_SAFE_INTEGER);
  checkNumber(where, 'expiresMs', options.expiresMs, 1, Number.MAX_SAFE_INTEGER);
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
