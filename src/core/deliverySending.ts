import type { DeliveryAttempt, DeliveryFault } from "../contract/deliveries.ts";
import { limits } from "../contract/limits.ts";
import { checkedCallbackUrl } from "./callbackAddress.ts";
import { mayAskForTime } from "./deliverySchedule.ts";
import type { StoredEndpoint } from "./endpointPorts.ts";
import type { SecretBox, SecretPlace } from "./secretBox.ts";
import { signStandard } from "./standardWebhooks.ts";
import { readRetryAfter } from "./upstreamErrors.ts";
import type { Notice } from "./webhookMessages.ts";

export type SendingPorts = {
  /** Makes the request and follows no redirect. */
  post: (request: Request) => Promise<Response>;
  /** Whether nothing may be sent any more; looked at right before the request is made. */
  isHeld: () => boolean;
  box: SecretBox;
  allowLoopback: boolean;
  /** Hosts at which weir is reached, beside the one that an endpoint's record tells. */
  ownHosts: readonly string[];
  /** Milliseconds since the epoch. */
  now: () => number;
};

/** An attempt, and what the endpoint asked for with it. */
export type SentAttempt = { attempt: DeliveryAttempt; retryAfterSeconds: number | null };

/** Where an endpoint's secrets are sealed for; a secret stays where it is when another takes its place. */
export function secretPlace(projectId: string, endpointId: string): SecretPlace {
  return { projectId, recordId: endpointId, field: "secret" };
}

/**
 * Makes one attempt to deliver a message: the address is looked at again, the message signed with every secret that is
 * valid now, and `limits.maxDeliveryAnswerBytes` of the answer are read, no more. Never rejects; null: it was held back.
 * `onStatus` is called as soon as the status is known.
 */
export async function sendNotice(
  ports: SendingPorts,
  stored: StoredEndpoint,
  { id, body }: Pick<Notice, "id" | "body">,
  onStatus: (status: number) => void,
): Promise<SentAttempt | null> {
  const atMs = ports.now();
  const attempt = (status: number | null, error: DeliveryFault | null, answer: string | null): DeliveryAttempt => ({
    at: new Date(atMs).toISOString(),
    durationMs: Math.max(0, ports.now() - atMs),
    status,
    error,
    answer,
  });
  const failed = (error: DeliveryFault): SentAttempt => ({
    attempt: attempt(null, error, null),
    retryAfterSeconds: null,
  });

  const url = callable(stored, ports);
  if (!url) return failed("address_refused");
  const secrets = await openSecrets(stored, ports.box, atMs).catch(() => null);
  if (!secrets) return failed("secret_unreadable");
  const timestamp = Math.floor(atMs / 1000);
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), limits.deliveryTimeoutMs);
  try {
    const request = new Request(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "user-agent": "weir-webhooks/1",
        "webhook-id": id,
        "webhook-timestamp": String(timestamp),
        "webhook-signature": await signStandard(secrets, { id, timestamp, body }),
      },
      body,
      redirect: "manual",
      signal: abort.signal,
    });
    if (ports.isHeld()) return null;
    const response = await ports.post(request);
    onStatus(response.status);
    const retryAfterSeconds = mayAskForTime(response.status)
      ? readRetryAfter(response.headers.get("retry-after"), ports.now(), limits.maxDeliveryRetryAfterSeconds)
      : null;
    const answer = await beginningOf(response.body, abort.signal);
    return { attempt: attempt(response.status, response.ok ? null : "status", answer), retryAfterSeconds };
  } catch {
    return failed(abort.signal.aborted ? "timeout" : "unreachable");
  } finally {
    clearTimeout(timer);
  }
}

type Rules = Pick<SendingPorts, "allowLoopback" | "ownHosts">;

function callable({ endpoint, ownHost }: StoredEndpoint, { allowLoopback, ownHosts }: Rules): string | null {
  try {
    return checkedCallbackUrl(endpoint.url, { allowLoopback, ownHosts: [ownHost, ...ownHosts] });
  } catch {
    return null;
  }
}

/** Those that messages are signed with, the newest first. */
async function openSecrets(stored: StoredEndpoint, box: SecretBox, nowMs: number): Promise<string[]> {
  const { projectId, endpoint, sealedSecret, sealedPrevious } = stored;
  const until = endpoint.previousSecretUntil;
  const isOverlap = until !== null && Date.parse(until) > nowMs;
  const sealed = [sealedSecret, isOverlap ? sealedPrevious : null].filter((one) => one !== null);
  if (sealed.length === 0) throw new Error("the endpoint has no secret");
  return Promise.all(sealed.map((one) => box.open(one, secretPlace(projectId, endpoint.id))));
}

/** What a body begins with, as text; the rest is not read. What has come of one that breaks off or stalls is kept. */
async function beginningOf(body: ReadableStream<Uint8Array> | null, signal: AbortSignal): Promise<string | null> {
  if (!body) return null;
  const reader = body.getReader();
  const { promise: late, resolve } = Promise.withResolvers<null>();
  const stop = () => resolve(null);
  signal.addEventListener("abort", stop, { once: true });
  const kept = new Uint8Array(limits.maxDeliveryAnswerBytes);
  let length = 0;
  try {
    while (length < kept.length && !signal.aborted) {
      const read = await Promise.race([reader.read(), late]);
      if (!read?.value) break;
      const part = read.value.subarray(0, kept.length - length);
      kept.set(part, length);
      length += part.length;
    }
  } catch {
    // What counts is the status.
  } finally {
    signal.removeEventListener("abort", stop);
    reader.cancel().catch(() => {});
  }
  // As a stream, so that a character cut in two is left out.
  return new TextDecoder().decode(kept.subarray(0, length), { stream: true });
}
