/**
 * A receiver of weir's webhooks that knows nothing else of weir: `receive` is what a Worker's `fetch`, or any server that
 * has the standard `Request`, would do.
 */
import { type VerifiedWebhook, verifyWebhook, WebhookError } from "weir/webhooks";

type RunData = { runId: string; status: string };

export async function receive(
  request: Request,
  secret: string,
  handle: (message: VerifiedWebhook<RunData>) => void,
): Promise<Response> {
  try {
    // The same message may come several times: `id` tells it from others.
    handle(await verifyWebhook<RunData>(request, secret));
    return new Response(null, { status: 204 });
  } catch (thrown) {
    if (thrown instanceof WebhookError) return new Response(thrown.message, { status: 401 });
    throw thrown;
  }
}

/** The same for a server that has collected the body by itself, as Node's does. */
export async function receiveInNode(
  headers: Record<string, string | string[] | undefined>,
  body: Uint8Array,
  secrets: readonly string[],
): Promise<string> {
  const message = await verifyWebhook<RunData>({ headers, body }, secrets);
  const status: string = message.data.status;
  return `${message.id} ${message.type} ${message.data.runId} ${status}`;
}

// What the types refuse; the compiler fails on an expectation that no longer holds.
export function mistakes(request: Request): unknown[] {
  return [
    // @ts-expect-error: a secret is needed
    () => verifyWebhook(request),
    // @ts-expect-error: a parsed body is not what was signed
    () => verifyWebhook({ headers: {}, body: { type: "x" } }, "whsec_"),
  ];
}
