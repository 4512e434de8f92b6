import { InvalidConfigError } from '../errors.ts';
import { hash32 } from '../identity/hash.ts';
import type { CellName } from './event-log.ts';

/** Tokens of a subject may be longer, but all of a subject's must fit into one line of the protocol. */
const TOKEN_CHARS = 180;

/**
 * Streams and subjects of one cluster. Each topic has a stream, with a subject for each shard and in it one
 * for each key; so a stream's own configuration says how many shards there are. The cells have a stream of
 * their own, which keeps the last message of each subject.
 */
export class JetStreamNames {
  readonly cells: string;
  readonly allCells: string;
  readonly #cluster: string;

  constructor(cluster: string) {
    this.#cluster = cluster;
    this.cells = `granary=${cluster}`;
    this.allCells = `granary.${cluster}.cells.>`;
  }

  stream(topic: string): string {
    return `granary=${this.#cluster}=${topicToken(topic)}`;
  }

  /** The subjects of a topic's stream. */
  shards(topic: string, count: number): string[] {
    return Array.from({ length: count }, (_, shard) => this.shard(topic, shard));
  }

  shard(topic: string, shard: number): string {
    return `granary.${this.#cluster}.events.${topicToken(topic)}.${shard}.*`;
  }

  event(topic: string, shard: number, key: string): string {
    return `granary.${this.#cluster}.events.${topicToken(topic)}.${shard}.${token(key)}`;
  }

  /** How many shards a topic's stream has. Throws `InvalidConfigError` when it is no such stream. */
  countShards(topic: string, subjects: readonly string[]): number {
    const wanted = new Set(this.shards(topic, subjects.length));
    if (subjects.length > 0 && subjects.every((subject) => wanted.has(subject))) return subjects.length;
    throw new InvalidConfigError(
      `topic '${topic}': the stream ${this.stream(topic)} has subjects that are not those of a topic; ` +
        'nobody else may use that name',
    );
  }

  cell(name: CellName): string {
    return `granary.${this.#cluster}.cells.${name.map(token).join('.')}`;
  }

  cellsUnder(prefix: CellName): string {
    return `${this.cell(prefix)}.>`;
  }

  cellName(subject: string): CellName {
    return subject.split('.').slice(3).map(decodeURIComponent);
  }
}

/** The topic of what was put aside has a dot, which neither a stream's name nor a token may have. */
function topicToken(topic: string): string {
  return topic.replace('.', '=');
}

/** Any text as one token of a subject. A long one is replaced by a hash, which stands for itself. */
function token(text: string): string {
  const escaped = encodeURIComponent(text).replace(/[.*]/g, (c) => (c === '.' ? '%2E' : '%2A'));
  if (escaped.length <= TOKEN_CHARS) return escaped;
  return `~${[1, 2, 3, 4].map((seed) => hash32(text, seed).toString(16).padStart(8, '0')).join('')}`;
}
