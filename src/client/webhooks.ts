import { type HeaderOf, type StandardFault, standardFault, standardSecretBytes } from "../core/standardWebhooks.ts";

/** What a message of weir's says; `data` as the event's type has it. */
export type WebhookMessage<Data = Record<string, unknown>> = {
  /** Such as `run.succeeded`. */
  type: string;
  /** When it happened, ISO 8601. */
  timestamp: string;
  data: Data;
};

/** A verified message, with the id by which it is known when it is delivered again. */
export type VerifiedWebhook<Data = Record<string, unknown>> = WebhookMessage<Data> & { id: string };

type HeaderValue = string | readonly string[] | null | undefined;

/** A request as a receiver has it: `Request` itself, or its headers and its body as it was sent, byte for byte. */
export type ReceivedWebhook =
  | Request
  | {
      /** As `Headers`, or as Node's `request.headers`. */
      headers: Headers | Readonly<Record<string, HeaderValue>>;
      /** Not parsed and written anew: that would be another text. */
      body: string | Uint8Array;
    };

export type VerifyWebhookOptions = {
  /** Seconds since the epoch, instead of the clock's. */
  nowSeconds?: number;
};

/** Why a webhook is not taken; an answer of 401 or 400 is the right one. */
export class WebhookError extends Error {
  override readonly name = "WebhookError";
  readonly reason: StandardFault | "body_malformed";

  constructor(reason: StandardFault | "body_malformed") {
    super(messages[reason]);
    this.reason = reason;
  }
}

const messages: Record<WebhookError["reason"], string> = {
  header_missing: "webhook-id, webhook-timestamp or webhook-signature is missing",
  id_malformed: "webhook-id holds a full stop",
  timestamp_malformed: "webhook-timestamp is not a number of seconds",
  timestamp_out_of_tolerance: "webhook-timestamp is too far from now",
  no_match: "webhook-signature holds no signature of this secret",
  body_malformed: "the body is not a message",
};

/**
 * Verifies a webhook of weir's, or any by Standard Webhooks, and tells what it says. Runs in Workers, Node and browsers.
 * `secret` is the endpoint's, `whsec_…`; during a rotation give both. Rejects with `WebhookError` for what is not signed
 * with one of them within five minutes of now, with `TypeError` for a secret that is none. The same message may come
 * several times, under one `id`.
 */
export async function verifyWebhook<Data = Record<string, unknown>>(
  received: ReceivedWebhook,
  secret: string | readonly string[],
  options: VerifyWebhookOptions = {},
): Promise<VerifiedWebhook<Data>> {
  const { nowSeconds = Math.floor(Date.now() / 1000) } = options;
  const secrets = typeof secret === "string" ? [secret] : secret;
  if (secrets.length === 0 || secrets.some((one) => standardSecretBytes(one) === null))
    throw new TypeError("a webhook's secret is `whsec_` and base64");
  const header = headerOf(received.headers);
  // Told by what they can do, as there may be several classes of one name.
  const body = "arrayBuffer" in received ? new Uint8Array(await received.arrayBuffer()) : received.body;
  const fault = await standardFault(secrets, header, body, nowSeconds);
  if (fault) throw new WebhookError(fault);
  return { ...messageOf<Data>(body), id: header("webhook-id") ?? "" };
}

function headerOf(headers: Headers | Readonly<Record<string, HeaderValue>>): HeaderOf {
  if (isHeaders(headers)) return (name) => headers.get(name);
  const entries = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), one(value)] as const);
  const known = new Map(entries);
  return (name) => known.get(name);
}

const isHeaders = (headers: object): headers is Headers => "get" in headers && typeof headers.get === "function";

/** A header that came twice is none that was signed. */
function one(value: HeaderValue): string | null {
  if (typeof value === "string") return value;
  return value?.length === 1 ? (value[0] ?? null) : null;
}

function messageOf<Data>(body: string | Uint8Array): WebhookMessage<Data> {
  let message: unknown;
  try {
    message = JSON.parse(typeof body === "string" ? body : new TextDecoder("utf-8").decode(body));
  } catch {
    throw new WebhookError("body_malformed");
  }
  if (typeof message !== "object" || message === null || !("type" in message) || !("data" in message))
    throw new WebhookError("body_malformed");
  return message as WebhookMessage<Data>;
}
