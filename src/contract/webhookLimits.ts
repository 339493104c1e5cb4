/** The bounds of what comes from other systems and of what they are told; part of `limits`. */
export const webhookLimits = {
  /** A signed timestamp may be so far from now, to either side, seconds: what Standard Webhooks, Stripe and Slack advise. */
  signatureToleranceSeconds: 300,
  /** Active triggers of a project. */
  maxTriggers: 200,
  /** Body of a received webhook, bytes; it is stored whole, D1 holds 2 MB a row, and what is made of it another row. */
  maxHookBytes: 1_000_000,
  /** A sender's id of an event that is kept as it is, characters; of a longer one its digest is. */
  maxSenderIdChars: 255,
  /** One expression over a payload, characters: room for any use, and bounds how deep it is nested. */
  maxExpressionChars: 1_000,
  /** Steps of all expressions over one payload: some tenths of a second, and room for one of `maxHookBytes`. */
  maxExpressionSteps: 1_000_000,
  /** Text that goes from a payload into one variable, characters, unless the trigger says so, and the most it may say. */
  mappedChars: 20_000,
  maxMappedChars: 200_000,
  /** A kept header's value, characters. */
  maxKeptHeaderChars: 1_000,
  /** An event's content type as it is kept, characters: room for any registered type with its charset. */
  maxContentTypeChars: 200,
  /** Longest wait of a sender for the run's result, ms; many senders give up after 30 s. */
  hookWaitMs: 25_000,
  /** A failed event's payload is kept so long for its replay where the project keeps no contents, ms (7 days). */
  failedPayloadMs: 7 * 24 * 3_600_000,
  /** Endpoints of a project; all of them are read at the end of each of its jobs. */
  maxEndpoints: 20,
  /** An endpoint's address and what its owner notes of it, characters. */
  maxEndpointUrlChars: 1_000,
  maxEndpointDescriptionChars: 500,
  /** How long messages are signed with a rotated secret too when no time is given, seconds (a day). */
  endpointSecretOverlapSeconds: 24 * 3600,
  /** Body of a message to an endpoint, bytes: Standard Webhooks asks for less than 20 kB. */
  maxWebhookBytes: 19_999,
  /** One attempt to deliver a message, whole, ms. */
  deliveryTimeoutMs: 15_000,
  /** What is read and kept of an endpoint's answer, bytes. */
  maxDeliveryAnswerBytes: 1_024,
  /** An endpoint with a message on its way sets its alarm so far ahead, ms: after a crash it goes on that much later. */
  deliveryLeaseMs: 5_000,
  /** Messages on their way to one endpoint at a time: an invocation has 6 connections, and the endpoint other work. */
  maxSends: 4,
  /** Pause before the first and each later attempt to deliver a message, ms; after the last one it is dead. */
  deliveryPausesMs: [0, 5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 36_000_000],
  /** A pause is longer by up to this part of itself, at random, so that what failed together does not come back together. */
  deliveryJitter: 0.2,
  /** Longest Retry-After of an endpoint that is kept to, seconds (a day). */
  maxDeliveryRetryAfterSeconds: 24 * 3600,
  /** An endpoint to which nothing could be delivered for so long, ms (5 days), is disabled. */
  endpointFailingMs: 5 * 24 * 3_600_000,
  /** Attempts whose results are kept of one delivery, replays included. */
  maxKeptAttempts: 50,
  /** A message is kept so long after it was accepted, ms (30 days), or as long as the project keeps contents. */
  deliveryKeptMs: 30 * 24 * 3_600_000,
  /** Messages kept of one endpoint; the oldest make way. With 20 kB each this is a tenth of what an object holds. */
  maxDeliveries: 50_000,
  /** A batch is counted again so much later, ms: a job may have ended unheard, and a count costs a query. */
  batchRecountMs: 3_600_000,
  /** Messages that one alarm of an endpoint drops. */
  prunedDeliveries: 1_000,
} as const;
