/**
 * Every bound of the runtime, with the reason for its size. What a user may change is an option; this is its
 * default or its end.
 */
export const LIMITS = Object.freeze({
  /**
   * Bytes of a key (UTF-8, before escaping). Long enough for a URL or a composite of ids, short enough for
   * any store's index.
   */
  keyBytes: 512,
  /**
   * Characters of a whole grain id after escaping: type (128), slash, and three characters for each byte of
   * the key.
   */
  grainIdChars: 128 + 1 + 3 * 512,
  /** Characters of a grain type or method name. */
  nameChars: 128,
  /**
   * Nesting of a value that travels. Deeper is nearly always a mistake, and recursion must end before the
   * stack does.
   */
  valueDepth: 100,
  /** Bytes of one call's arguments or one result. Larger values belong in a store or a stream. */
  callBytes: 16 * 1024 * 1024,
  /** Bytes of an item; a larger one leaves in parts, and what is sent after it may overtake it. */
  largeItemBytes: 32 * 1024,
  /** Bytes of one part: a fraction of a millisecond of anybody's time, more than what a message costs. */
  partBytes: 32 * 1024,
  /**
   * Bytes of parts under way from one node to another, which is what anything small waits behind. One part
   * keeps a local network busy; the most is for round trips of 60 ms and more (`Pace`).
   */
  partsBytes: 32 * 1024,
  partsBytesMax: 1024 * 1024,
  /** How long the receiver of parts may say nothing before the sender repeats one, or twice as long. */
  partSilenceMs: 250,
  /** So often in vain, and the receiver is taken for gone: as long as for a stream. */
  partSilentTicks: 120,
  /** Bytes of partly received large items that one node keeps in all; the next ones have to wait. */
  reassemblyBytes: 64 * 1024 * 1024,
  /** How long a partly received large item may wait for its next part. Its sender tries more often. */
  reassemblyMs: 10_000,
  /** Milliseconds of a call's deadline when nobody chose one. */
  callTimeoutMs: 10_000,
  /** The longest deadline: what a timer can hold without overflowing (24.8 days) is no deadline anyway. */
  callTimeoutMaxMs: 24 * 60 * 60 * 1000,
  /** Activations that move from one silo at a time: more would only make each wait longer. */
  moves: 256,
  /** Bytes of what activations that move take along, kept on the silo that they leave until it is fetched. */
  luggageBytes: 64 * 1024 * 1024,
  /**
   * Calls a node may have unanswered. At 1 kB each this is 100 MB, after which the process would be in
   * trouble itself.
   */
  pendingCalls: 100_000,
  /** Attempts of one call that its caller wants repeated: what has not worked by then never will. */
  attempts: 1_000,
  /** Calls of a node that pause between two attempts; with more, those that fail are not made again. */
  pausedCalls: 10_000,
  /**
   * Items that have come and may wait until the event loop has gone round. A burst of calls is less; with
   * more, the process would only read what it has no time for.
   */
  inbox: 10_000,
  /** Calls that may wait for one activation. At 1 ms a turn the last one waits 10 s, the default deadline. */
  mailbox: 10_000,
  /** Characters of an idempotency key: room for several ids joined, and many keys fit into a record. */
  idempotencyKeyChars: 256,
  /**
   * Answers of calls with idempotency keys that a grain keeps, and may be asked to keep. They are written
   * with every save, about 60 bytes each.
   */
  keptAnswers: 128,
  keptAnswersMax: 10_000,
  /** Bytes of one such answer, and of all that one grain keeps: beyond that the oldest are forgotten. */
  keptAnswerBytes: 8 * 1024,
  keptAnswersBytes: 1024 * 1024,
  /** Calls that may wait for partitions that are being taken over, for one silo. */
  heldCalls: 50_000,
  /** Silos that one call may pass through. Two suffice when views agree; more means that they do not, yet. */
  hops: 8,
  /** Calls passed on in the last moments, which may turn out to have reached nobody; without arguments. */
  forwards: 10_000,
  /** Timers of one activation. With more, one of them could serve all: a list of what is due, and when. */
  timers: 1_000,
  /** The longest time a timer counts, in milliseconds: what Node.js can wait for in one go, 24.8 days. */
  timerMs: 2 ** 31 - 1,
  /** What an error tells of that is wrong with arguments: more help nobody, and might not fit an answer. */
  schemaIssues: 100,
  /** Characters of one such thing's path, and of what is said of it. */
  issueChars: 300,
  /** Grains in one call chain. Deeper is a recursion that no deadline will see through. */
  chainDepth: 64,
  /** Baggage of a call chain in bytes, and entries. */
  baggageBytes: 8 * 1024,
  /** Grains whose last known silo a node remembers, about 200 bytes each. */
  locations: 100_000,
  /**
   * Pending calls that are looked through before a grain's place is learned. With more, calls go on by way of
   * the primary, which costs a hop; looking through all at each answer would cost more.
   */
  learnScan: 1_000,
  /** Labels of one silo. They are in every view, and a view must fit into a message. */
  labels: 16,
  /** Silos that have left, or are gone, that a view remembers, so that old news cannot bring them back. */
  departedSilos: 1_000,
  /** Silos that watch one silo's heartbeat. A cluster up to one more than this is watched by everyone. */
  monitors: 7,
  /**
   * Members of process groups that one silo may own in one partition: its whole slice must fit into one
   * message.
   */
  groupMembers: 10_000,
  /** Calls that may wait for one observer: a program that falls this far behind will not catch up. */
  observerCalls: 1_000,
  /** Observers in one list of a grain: it is saved as one value, and calls that many at once. */
  observers: 10_000,
  /** Items of a stream that its producer may be ahead of its consumer. */
  streamWindow: 32,
  /** Bytes of items that it may be ahead of a consumer on another node, but for the last item. */
  streamWindowBytes: 8 * 1024 * 1024,
  /**
   * How often the reader of a stream on another node says that it is there, unless it has said something
   * anyway; what was lost is asked for after one to two of these without a word.
   */
  streamTickMs: 2_000,
  /**
   * Such ticks without a word after which either end takes the other for gone: longer than an outage of the
   * network that ends by itself, and enough attempts for one that loses a third of all messages.
   */
  streamSilentTicks: 15,
  /** Bytes of a stream's items that are sent again at once: what a message may have by default, or less. */
  streamAgainBytes: 256 * 1024,
  /**
   * Bytes of an answer about the directory, beyond which the rest has to be asked for again: a quarter of
   * what a message may have by default.
   */
  controlBytes: 256 * 1024,
  /** Parts of a topic that silos share among them. More than silos, few enough that each can be polled. */
  topicShards: 16,
  topicShardsMax: 256,
  /** Bytes of one event: what a NATS server takes by default, with room for what is around it. */
  eventBytes: 900 * 1024,
  /**
   * Events of one shard that are under way to one kind of subscriber, and their bytes, but for the last one:
   * what a silo holds in memory of a topic, however far its subscribers are behind.
   */
  topicWindow: 128,
  topicWindowBytes: 2 * 1024 * 1024,
  /** Events of one shard by which others may be ahead of one that is tried again. Their numbers are kept. */
  topicSpan: 1_024,
  /** Failed attempts after which an event is put aside, unless the subscriber says otherwise. */
  eventTries: 10,
  /** Events that wait for one subscription; those after them are read from the log again. */
  subscriptionQueue: 16,
  /**
   * Ticks of reminders that one silo has under way: enough to keep a store busy. With twice as many, calls
   * beside them waited twice as long, and the ticks were no faster.
   */
  reminderTicks: 128,
  /** Reminders that are due soon and that one silo keeps, 500 bytes each; the others wait in the store. */
  remindersAhead: 10_000,
  /** Reminders that one statement reads. */
  reminderPage: 1_000,
  /** Failures of its grain after which a tick is given up; that is after two minutes or more. */
  reminderAttempts: 8,
});
