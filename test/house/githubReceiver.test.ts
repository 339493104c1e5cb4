import { Webhook } from "standardwebhooks";
import { beforeEach, describe, expect, it } from "vitest";
import type { Handled } from "../consumer/githubReceiver.ts";
import { type PostedComment, startComments } from "../consumer/githubStandIn.ts";

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const data = {
  runId: "run_1",
  status: "succeeded",
  metadata: { repository: "octo-org/turbine", issue: "42" },
  text: "It broke.",
  error: null,
};

let posted: PostedComment[];
let handled: Handled[];
beforeEach(() => {
  posted = [];
  handled = [];
});

/** A receiver that posts to GitHub's stand-in; `send` is what weir does, signed by the reference library. */
async function startReceiver({ token = "right" } = {}) {
  const { githubReceiver } = await import("../consumer/githubReceiver.ts");
  const comments = await startComments("right", (comment) => posted.push(comment));
  const github = { url: comments.url, token };
  const receive = githubReceiver({
    secret: () => secret,
    github,
    answerOf: async (runId) => `the answer of ${runId}`,
    handled: (one) => handled.push(one),
  });
  return {
    github,
    async send(message: object, { id = "dlv_1", key = secret } = {}) {
      const body = JSON.stringify({ type: "run.succeeded", timestamp: "2026-11-03T20:26:10.344Z", ...message });
      const at = new Date();
      const headers = {
        "webhook-id": id,
        "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
        "webhook-signature": new Webhook(key).sign(id, at, body),
      };
      const request = { method: "POST", path: "/weir", headers, body: Buffer.from(body) };
      return (await receive(request).catch(() => ({ status: 500 }))).status;
    },
    [Symbol.asyncDispose]: () => comments[Symbol.asyncDispose](),
  };
}

describe("the example's receiver", () => {
  it("posts one comment for a message that comes twice, to the issue that the metadata names", async () => {
    await using receiver = await startReceiver();
    expect([await receiver.send({ data }), await receiver.send({ data })]).toEqual([204, 204]);
    expect(posted).toEqual([{ repository: "octo-org/turbine", issue: 42, body: "**Summary by weir**\n\nIt broke." }]);
    expect(handled).toMatchObject([{ messageId: "dlv_1", runId: "run_1", issue: "octo-org/turbine#42" }]);
  });

  it("reads an answer from weir that was too long for the message", async () => {
    await using receiver = await startReceiver();
    expect(await receiver.send({ data: { ...data, text: null } })).toBe(204);
    expect(posted[0]?.body).toContain("the answer of run_1");
  });

  it("posts nothing for a run that did not succeed, and nothing that weir has not signed", async () => {
    await using receiver = await startReceiver();
    expect(await receiver.send({ type: "run.failed", data })).toBe(204);
    expect(await receiver.send({ data }, { id: "dlv_2", key: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD" })).toBe(401);
    expect(posted).toEqual([]);
    expect(handled).toMatchObject([{ type: "run.failed", commentUrl: null }]);
  });

  it("is not done while GitHub refuses the comment, so that weir sends again", async () => {
    await using receiver = await startReceiver({ token: "wrong" });
    expect(await receiver.send({ data })).toBe(500);
    receiver.github.token = "right";
    expect(await receiver.send({ data })).toBe(204);
    expect(posted).toHaveLength(1);
  });
});
