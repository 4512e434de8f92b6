/** What `@subscribe(topic, …)` takes. */
export interface SubscribeOptions {
  /**
   * `true`: only for those keys that a grain has subscribed to by `context.subscribe`. Default: the grain
   * gets the events of its own key, and is activated for them.
   */
  readonly explicit?: boolean;
  /**
   * `true`: for what is published by `broadcast`: at most once, without a log, to those grains of this class
   * that are active at the moment.
   */
  readonly broadcast?: boolean;
  /**
   * Where the class begins when it subscribes for the first time: with what comes from now on (`'new'`, the
   * default), or with what the log has (`'start'`).
   */
  readonly from?: 'new' | 'start';
  /** Failed attempts after which an event is put aside, into the topic's dead letters. Default 10. */
  readonly tries?: number;
  /** Deadline of one attempt in milliseconds. Default: that of calls. */
  readonly timeoutMs?: number;
  /** Runs at once, between the awaits of whatever runs already. Events of one key do not overlap anyway. */
  readonly interleave?: boolean;
}

/** What a handler is told of its event, as its second argument. */
export interface EventMeta {
  readonly topic: string;
  /** The key as text, as `this.key` would be. Of a broadcast, empty. */
  readonly key: string;
  /** Larger than that of every event of this key before it. Of a broadcast, 0. */
  readonly seq: number;
  /** When the log took it, in wall-clock milliseconds. */
  readonly publishedAt: number;
  /** 1 for the first attempt that is known of. */
  readonly attempt: number;
}

/** Where a subscription begins: what comes from now on, all there is, an event's number, or a time. */
export type ReplayFrom = 'new' | 'start' | number | Date;
