/** What plays GitHub on this machine: it posts an event as GitHub does, and has the part of its API that takes comments. */
import { createHmac, randomUUID } from "node:crypto";
import { listen } from "./loopback.ts";

export type PostedComment = { repository: string; issue: number; body: string };

/** `POST /repos/{owner}/{repo}/issues/{number}/comments`, for whoever brings the token. */
export async function startComments(token: string, posted: (comment: PostedComment) => void) {
  return listen(async ({ method, path, headers, body }) => {
    const [, repository, issue] = /^\/repos\/([^/]+\/[^/]+)\/issues\/(\d+)\/comments$/.exec(path) ?? [];
    if (method !== "POST" || !repository) return { status: 404, json: { message: "Not Found" } };
    if (headers.authorization !== `Bearer ${token}`) return { status: 401, json: { message: "Bad credentials" } };
    const comment = { repository, issue: Number(issue), body: (JSON.parse(String(body)) as { body: string }).body };
    posted(comment);
    return { status: 201, json: { id: 1, body: comment.body } };
  });
}

export type HookReply = { status: number; runId: string | null; eventState: string; duplicate: boolean };

/** Posts an event to a webhook's address, signed and with the headers of GitHub; the same `delivery` is a redelivery. */
export async function postEvent(
  url: string,
  secret: string,
  { event, payload, delivery = randomUUID() }: { event: string; payload: unknown; delivery?: string },
): Promise<HookReply> {
  const body = JSON.stringify(payload);
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "user-agent": "GitHub-Hookshot/044aadd",
      "x-github-event": event,
      "x-github-delivery": delivery,
      "x-github-hook-installation-target-type": "repository",
      "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
    },
    body,
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`weir answered ${response.status}: ${text}`);
  const { runId, status, duplicate } = JSON.parse(text) as { runId: string | null; status: string; duplicate: boolean };
  return { status: response.status, runId, eventState: status, duplicate };
}
