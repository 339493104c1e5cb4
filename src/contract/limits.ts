import { webhookLimits } from "./webhookLimits.ts";

/**
 * Every bound weir sets, in one place. Units are in the names; each entry says why it is what it is.
 * A limit of the platform names its source; the others are choices.
 */
export const limits = {
  ...webhookLimits,
  /** Request body, bytes. Room for long histories and inline images, far under the isolate's 128 MB. */
  maxBodyBytes: 4 * 1024 * 1024,
  /** Nesting of a JSON body. Deep nesting has no use here and exhausts recursive walkers. */
  maxJsonDepth: 64,
  /** Messages in one request, history included. */
  maxMessages: 1_000,
  /** Top-level variables a caller may give. */
  maxVariables: 256,
  /** Metadata pairs on a run, and the lengths OpenAI allows for their keys and values (characters). */
  maxMetadataPairs: 16,
  maxMetadataKeyChars: 64,
  maxMetadataValueChars: 512,
  /** Pairs that a trigger maps into its runs' metadata: `trigger` and `event` are there already. */
  maxMappedMetadataPairs: 14,
  /** Calls in one tRPC batch. */
  maxBatchCalls: 20,
  /** Rows in one page of a list, and the page given when none was asked for. */
  maxPageSize: 100,
  defaultPageSize: 50,
  /** Source of one template version: all messages, or the snippet (bytes of UTF-8). */
  maxTemplateBytes: 64 * 1024,
  /** One version whole, with its tools and schemas (bytes of JSON); D1 holds 2 MB a row. */
  maxVersionBytes: 1_000_000,
  /** Sections inside sections; bounds recursion. */
  maxSectionDepth: 64,
  /** White space in one stretch of a template; the parser's time inside a tag grows with its square. */
  maxBlankRunChars: 1_024,
  /** Rendered output of one template, all messages together (UTF-16 units). */
  maxRenderedChars: 1024 * 1024,
  /** Nodes visited by one rendering; bounds nested sections by count, as clocks stand still in a Worker. */
  maxRenderNodes: 20_000,
  /** Partials inside partials. */
  maxPartialDepth: 16,
  /** Different snippets that one template may include, through others too; bounds what a rendering reads. */
  maxPartials: 100,
  /** Lines removed and added that a diff is sought for; the search costs the square of their number. */
  maxDiffLines: 2_000,
  /** JSON Schema of variables or of an answer, bytes of JSON. */
  maxSchemaBytes: 64 * 1024,
  /** Stored request and stored answer, bytes each; D1 holds 2 MB a row and both share one. */
  maxStoredRequestBytes: 750_000,
  maxStoredAnswerBytes: 750_000,
  /** Text of a run that the search index sees, characters; more would make each run's index entry costly. */
  maxIndexedChars: 8_192,
  /** Answer accepted from an upstream, bytes; memory of an isolate is shared by its requests. */
  maxUpstreamBytes: 32 * 1024 * 1024,
  /** One server-sent event of an upstream, bytes; bounds the buffer of an unfinished line. */
  maxEventBytes: 1024 * 1024,
  /** Tokens an upstream may report for one completion; more is nonsense, and would overflow a day's sums. */
  maxTokenCount: 1_000_000_000,
  /** Model and finish reason kept of an upstream's answer, characters each; they stand in every row of a list. */
  maxNameChars: 200,
  /** Retry-After passed on to a client, seconds: a longer wait is no advice to a waiting caller. */
  maxRetryAfterSeconds: 3_600,
  /** Text of an upstream's error passed on, characters. */
  maxUpstreamMessageChars: 1_000,
  /** Unparsed stream kept until it is folded, bytes; parsing in gulps costs less than parsing each event. */
  foldGulpBytes: 32 * 1024,
  /** What a stream's events have in common is looked for so often in vain: with some servers no two are alike. */
  shapeLessons: 8,
  /** An upstream's chunks are a burst from so many in a row, each within so many ms on average: fewer may be a stall's end. */
  burstReads: 4,
  maxBurstReads: 96,
  burstReadMs: 2,
  /** Bytes of a burst read at a time, how long one is held back for it, ms, and bytes kept twice in case it stalls. */
  burstGulpBytes: 8 * 1024,
  burstStallMs: 10,
  burstPartBytes: 64 * 1024,
  /** Time a key or a resolved template may be served from the isolate's memory, ms: bounds revocation. */
  maxCacheAgeMs: 10_000,
  /** Entries of one such cache, and its bytes as its owner estimates them: an isolate has 128 MB for all. */
  maxCacheEntries: 1_000,
  maxCacheBytes: 16 * 1024 * 1024,
  /** Wait for what another request of the isolate looks up, before asking oneself, ms. */
  lookUpPatienceMs: 500,
  /** Wait for the first event before the response status is committed, ms. */
  firstEventHoldMs: 5_000,
  /** Comment on a client's silent stream, ms: the runtime tells of a client that left at the next write only. */
  silenceCommentMs: 600,
  /** Ping on a silent subscription, ms: idle connections close after about 400 s, proxies before that. */
  pingMs: 15_000,
  /** Comment on a run's silent stream of events, ms: shorter than `pingMs`, as clients count it from the last byte. */
  eventsCommentMs: 10_000,
  /** How long a relay waits for the upstream to close after `[DONE]`, ms. */
  drainMs: 250,
  /** How long a relay waits before it looks again at a timer that is overdue, ms: a look costs half of what a chunk does. */
  relayTickMs: 250,
  /** Upstream timers when the environment sets none, ms: headers, first token, silence between events, total. */
  upstreamHeadersTimeoutMs: 60_000,
  upstreamFirstTokenTimeoutMs: 120_000,
  upstreamIdleTimeoutMs: 60_000,
  upstreamTotalTimeoutMs: 600_000,
  /** Calls of upstreams inside one completion, all models together. */
  maxAttempts: 6,
  /** Calls of one model, and the pause that backoff starts from, ms; the environment may set both. */
  attemptsPerModel: 3,
  retryPauseMs: 200,
  /** Longest pause of our own between two attempts, ms, and longest Retry-After: else the next model, or the caller. */
  maxRetryPauseMs: 4_000,
  maxRetryWaitMs: 10_000,
  /** Failed completions in a row that open an upstream's circuit (the environment may set it), and its rest then, ms. */
  circuitFailures: 8,
  circuitRestMs: 10_000,
  /** Models that may stand in for one that fails. */
  maxFallbacks: 5,
  /** Bounds of the timers that a template or a request may set, ms. */
  minTimeoutMs: 100,
  maxTimeoutMs: 3_600_000,
  /** First token and silence of a reasoning model when the environment sets no timers, ms: it thinks first. */
  reasoningFirstTokenTimeoutMs: 300_000,
  reasoningIdleTimeoutMs: 120_000,
  /** Finalising a run is tried this often, with a growing pause, inside the 30 s that waitUntil grants. */
  finaliseAttempts: 4,
  /** Writes of runs that go to D1 together, their number and bytes: a batch is one round trip, and holds up all others. */
  maxWriteGroup: 50,
  maxWriteGroupBytes: 1_000_000,
  /** How long the first of them waits for others, ms: nobody waits for it, and each batch costs D1 as much as several runs. */
  writeGatherMs: 200,
  /** Answers longer than this, bytes, are written one after the other; one that has waited so long, ms, goes by itself. */
  longAnswerBytes: 128 * 1024,
  longAnswerPatienceMs: 5_000,
  /** How long a run waits for a write that another request sends along, ms, before it sends its own. */
  writePatienceMs: 5_000,
  /** A completion gets its row so late while it runs, ms, as one write saves a third; if its isolate dies before, none. */
  openRunAfterMs: 500,
  /** An id younger than this may be on its way into the log, ms: whoever asks for it is kept waiting, asked for so often, and not refused. */
  recordLagMs: 1_500,
  recordPollMs: 100,
  /** Longest overlap of a rotated key, seconds (30 days). */
  maxKeyOverlapSeconds: 30 * 24 * 3600,
  /** Upstreams of a project; all of them are read for a completion whose isolate has forgotten them. */
  maxUpstreams: 20,
  /** Models in one upstream's mapping, headers sent along, and the length of its address (characters). */
  maxUpstreamModels: 200,
  maxUpstreamHeaders: 10,
  maxBaseUrlChars: 500,
  /** A test call of an upstream, whole, ms: somebody waits for it. */
  upstreamTestTimeoutMs: 15_000,
  /** Budgets of one day: far above any use, far below what a sum could not hold exactly. */
  maxTokensPerDay: 1_000_000_000_000,
  maxCostPerDayMicros: 1_000_000_000_000_000,
  /** Requests a minute of a publishable key that was given no rate: everybody may read it in a page. */
  publishableRequestsPerMinute: 60,
  /** Retry-After where a rate is exceeded, seconds: the length of its window, of which no more is known. */
  rateRetryAfterSeconds: 60,
  /** Idempotency-Key, characters. */
  maxIdempotencyKeyChars: 255,
  /** How long a finished answer is replayed, ms, and the largest that is kept, bytes; D1 holds 2 MB a row. */
  replayMs: 24 * 3_600_000,
  maxReplayBytes: 1024 * 1024,
  /** A running request's hold on its key lasts so long and is renewed so often, ms: a Worker that died frees it soon. */
  claimMs: 60_000,
  claimRenewMs: 15_000,
  /** Retry-After while a request with the same key is running, seconds. */
  claimRetryAfterSeconds: 2,
  /** Priorities of jobs reach from minus this to this: enough for any order of classes. */
  maxJobPriority: 100,
  /** Longest delay of a job, and longest time for the whole of one, ms (30 days): alarms and contents are kept that long. */
  maxJobDelayMs: 30 * 24 * 3_600_000,
  maxJobDeadlineMs: 30 * 24 * 3_600_000,
  /** Time for the whole of a job that names no deadline, ms: what nobody has got after a day nobody waits for. */
  jobDeadlineMs: 24 * 3_600_000,
  /** A job's stored request, bytes of JSON; a row of D1 and of an object holds 2 MB. */
  maxJobSpecBytes: 1_900_000,
  /** Longest wait of one call for a job's result, ms; proxies give up on an answer that begins later. */
  maxJobWaitMs: 30_000,
  /** Jobs of one batch: as many as are rendered, stored and named in one answer within a request's time. */
  maxBatchItems: 1_000,
  /** A caller's name for an item of a batch, characters; it stands in every row of the results. */
  maxBatchItemKeyChars: 200,
  /** Stored requests of one batch in all, bytes of JSON; an isolate has 128 MB and holds them twice while it writes. */
  maxBatchBytes: 16_000_000,
  /** One parameter of a statement, bytes of JSON; D1 takes 2 MB, and a job's stored request must fit. */
  maxBoundJsonBytes: 1_900_000,
  /** Answers in one page of a batch's results, bytes of JSON; 100 of the longest would not fit into an isolate. */
  maxResultPageBytes: 4_000_000,
  /** Jobs that a batch's object starts or cancels between two alarms: one invocation may make 50 calls on every plan. */
  batchSliceJobs: 40,
  /** A batch whose Worker ended right after writing it is started so long after, ms; a query of D1 may take 30 s. */
  batchArmMs: 60_000,
  /** Step in which a job looks at its timers, ms. */
  jobTickMs: 250,
  /** Between two deltas, ms, as each is a row; more by so many times what a timer is late, to a bound. */
  jobDeltaMs: 75,
  jobLateFactor: 8,
  maxJobDeltaMs: 1_000,
  /** One delta, UTF-16 units: JSON takes up to 6 bytes for one, and a row of an object holds 2 MB. */
  maxDeltaChars: 256 * 1024,
  /** Parsed answer that goes with a job's last event, bytes of JSON: it shares a row of 2 MB with the run. */
  maxDoneOutputBytes: 1_500_000,
  /** A job under way sets its alarm so far ahead, ms: a crashed one is taken up again that much later at most. */
  jobLeaseMs: 5_000,
  /** Calls of upstreams in the whole life of a job, restarts and waits included. */
  maxJobAttempts: 24,
  /** Pause before the first repetition of a job's failed write to D1, and the longest one, ms; it doubles between. */
  recordPauseMs: 1_000,
  maxRecordPauseMs: 300_000,
  /** A finished job's events are kept so long, ms; later its watchers are answered from the run log. */
  jobEventsMs: 24 * 3_600_000,
  /** Events read at a time for a watcher that lags behind, and their length at which no other is added, characters. */
  watchBatchEvents: 500,
  watchBatchChars: 256 * 1024,
  /** A client that lost its watch comes back after so long, ms; browsers would wait for seconds. */
  watchRetryMs: 500,
  /** A watcher whose object was restarted is attached again so often in a row, with a growing pause that starts here, ms. */
  watchReattachments: 5,
  /** An attachment that has lasted so long, ms, was no failure: a silent job may be watched through any number of restarts. */
  watchSteadyMs: 10_000,
  watchReattachPauseMs: 100,
  /** A job's slot at its project's gate is free again so long after it was last renewed, ms: a lost job holds it no longer. */
  slotLeaseMs: 60_000,
  /** The object of a job that is let in answers the gate's call within so long, ms, or its slot goes to the next. */
  slotOfferMs: 10_000,
  /** Jobs of a project that call upstreams at a time when it sets no number: a burst must not hit the upstream's limits. */
  concurrentJobs: 50,
  /** Most that a project or an upstream may set: the gate, a single object, looks through its slots at every call. */
  maxConcurrentJobs: 1_000,
  /** A run that is younger is nobody's business but its owner's, ms; neither is a job so long after it may start. */
  sweepAfterMs: 60_000,
  /** Longer than any relay's total time by this, ms, its row has no owner any more: room for its last writes. */
  relaySlackMs: 300_000,
  /** Rows that one sweep looks at, or deletes, of a kind: a sweep is one invocation, and another one follows in a minute. */
  sweepRows: 500,
  /** Live runs that one sweep looks at: rows read, and names that it asks gates about. */
  sweepLiveRuns: 2_000,
  /** Jobs that one sweep starts, and gates that it asks: a read and a call each, and the free plan grants 50 of both to an invocation. */
  sweepStarts: 16,
  /** Prices of its own that a project may set; the list of models is one answer without pages. */
  maxModelPrices: 500,
  /** Days one call of runs.stats may span, and those it spans when none were given. */
  maxStatsDays: 366,
  defaultStatsDays: 30,
  /** Choices (`n`) of one simulated answer; each holds the whole text again. */
  maxSimulatedChoices: 8,
  /** Values the simulator makes up for one JSON schema, a long string counting for several. */
  maxSimulatedValues: 10_000,
  /** One pause in a simulator's script, ms. */
  maxSimulatedPauseMs: 600_000,
  /** Retry-After of an answer 503, seconds. */
  unavailableRetryAfterSeconds: 2,
} as const;
