/**
 * The part that you would deploy: it gets weir's signed message that a run has ended, and posts the answer as a comment
 * to the issue that the run is about. Which one that is stands in the run's metadata, where the trigger has put it.
 */
import { verifyWebhook, WebhookError } from "weir/webhooks";
import type { Answer, Received } from "./loopback.ts";

/** The part of a message's `data` that is used here. */
type RunData = {
  runId: string;
  status: string;
  metadata: Record<string, string>;
  /** Null where it was too long for a message; the run has it. */
  text: string | null;
  error: { code: string; message: string } | null;
};

export type Handled = { messageId: string; type: string; runId: string; issue: string; commentUrl: string | null };

export type ReceiverOptions = {
  /** Of weir's endpoint, `whsec_…`. */
  secret: () => string;
  github: { url: string; token: string };
  /** Reads the answer of a run from weir. */
  answerOf: (runId: string) => Promise<string>;
  handled: (handled: Handled) => void;
};

/** Answers 204 once the comment is posted, 401 to what weir has not signed; weir sends again after anything but 2xx. */
export function githubReceiver({ secret, github, answerOf, handled }: ReceiverOptions) {
  // A message may come more than once, under the same id. Keep these in a database.
  const done = new Set<string>();

  return async ({ headers, body }: Received): Promise<Answer> => {
    try {
      const { id, type, data } = await verifyWebhook<RunData>({ headers, body }, secret());
      if (done.has(id)) return { status: 204 };
      const { repository, issue } = data.metadata;
      const commentUrl = type === "run.succeeded" ? `${github.url}/repos/${repository}/issues/${issue}/comments` : null;
      if (commentUrl) await comment(commentUrl, data.text ?? (await answerOf(data.runId)));
      done.add(id);
      handled({ messageId: id, type, runId: data.runId, issue: `${repository}#${issue}`, commentUrl });
      return { status: 204 };
    } catch (thrown) {
      if (thrown instanceof WebhookError) return { status: 401, json: { message: thrown.message } };
      throw thrown;
    }
  };

  /** As GitHub's own API takes it: with `https://api.github.com` and a real token it is the same. */
  async function comment(url: string, text: string): Promise<void> {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        accept: "application/vnd.github+json",
        authorization: `Bearer ${github.token}`,
        "content-type": "application/json",
        "x-github-api-version": "2022-11-28",
      },
      body: JSON.stringify({ body: `**Summary by weir**\n\n${text}` }),
    });
    if (!response.ok) throw new Error(`GitHub answered ${response.status}`);
  }
}
