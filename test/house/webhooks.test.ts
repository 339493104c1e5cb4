import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { Hono } from "hono";
import { Webhook } from "standardwebhooks";
import { beforeAll, describe, expect, it } from "vitest";
import { WebhookMessage } from "../../src/contract/webhookMessages.ts";
import { projectRoot } from "../../src/local/project.ts";

const exec = promisify(execFile);
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const message = {
  type: "run.succeeded",
  timestamp: "2026-11-03T20:26:10.344Z",
  data: { runId: "run_1", status: "succeeded" },
};
const body = JSON.stringify(message);

type Consumer = typeof import("../consumer/webhooks.ts");
let receiver: Consumer;

beforeAll(async () => {
  await exec(join(projectRoot, "node_modules/.bin/tsc"), ["-p", "src/client"], { cwd: projectRoot });
  // By the package's own name, as whoever has installed it would.
  receiver = await import("../consumer/webhooks.ts");
});

/** Headers that the reference library signs. */
function signed(text: string, at = new Date(), id = "msg_1"): Record<string, string> {
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": new Webhook(secret).sign(id, at, text),
  };
}

const requestOf = (headers: Record<string, string>, text = body) =>
  new Request("https://receiver.test", { method: "POST", headers, body: text });

describe("the published verification of webhooks", () => {
  it("takes a message that the reference library has signed, in a standard request", async () => {
    const taken: unknown[] = [];
    const response = await receiver.receive(requestOf(signed(body)), secret, (one) => taken.push(one));
    expect(response.status).toBe(204);
    expect(taken).toEqual([{ ...message, id: "msg_1" }]);
  });

  it("takes it in a framework that has the standard request", async () => {
    const { verifyWebhook } = await import("weir/webhooks");
    const app = new Hono().post("/weir", async (c) => c.json(await verifyWebhook(c.req.raw, secret)));
    const response = await app.request("/weir", { method: "POST", headers: signed(body), body });
    expect(await response.json()).toEqual({ ...message, id: "msg_1" });
  });

  it("takes it from a server of Node's, with both secrets of a rotation", async () => {
    const other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const results: string[] = [];
    await using server = await listening(async (headers, bytes) => {
      results.push(await receiver.receiveInNode(headers, bytes, [other, secret]));
    });
    const text = JSON.stringify({ ...message, data: { ...message.data, status: "失败 – été" } });
    expect((await fetch(server.url, { method: "POST", headers: signed(text), body: text })).status).toBe(204);
    expect(results).toEqual(["msg_1 run.succeeded run_1 失败 – été"]);
  });

  it.each<[string, Record<string, string>, string]>([
    ["signed with another secret", signed(body.replace("run_1", "run_2")), "no_match"],
    ["too old", signed(body, new Date(Date.now() - 301_000)), "timestamp_out_of_tolerance"],
    ["without its id", { ...signed(body), "webhook-id": "" }, "header_missing"],
    ["at 123abc", { ...signed(body), "webhook-timestamp": "123abc" }, "timestamp_malformed"],
  ])("refuses one that is %s, and says why", async (_, headers, reason) => {
    const { verifyWebhook, WebhookError } = await import("weir/webhooks");
    const refused = await verifyWebhook(requestOf(headers), secret).catch((thrown: unknown) => thrown);
    expect(refused).toBeInstanceOf(WebhookError);
    expect(refused).toMatchObject({ reason });
    expect((await receiver.receive(requestOf(headers), secret, () => {})).status).toBe(401);
  });

  it("refuses what is signed and no message, a header that comes twice, and a secret that is none", async () => {
    const { verifyWebhook } = await import("weir/webhooks");
    for (const text of ["no json", "[]", '"text"', '{"type":"x"}', "null"])
      await expect(verifyWebhook(requestOf(signed(text), text), secret)).rejects.toMatchObject({
        reason: "body_malformed",
      });
    const headers = { ...signed(body), "webhook-id": ["msg_1", "msg_2"] };
    await expect(verifyWebhook({ headers, body }, secret)).rejects.toMatchObject({ reason: "header_missing" });
    for (const none of ["", "secret", "whsec_", []])
      await expect(verifyWebhook({ headers: signed(body), body }, none)).rejects.toBeInstanceOf(TypeError);
  });
});

it("the README shows a message as it is", async () => {
  const readme = await readFile(join(projectRoot, "README.md"), "utf8");
  const [, text = ""] = /```http\n[\s\S]*?\n\n([\s\S]*?)```/.exec(readme) ?? [];
  const shown = JSON.parse(text);
  expect(WebhookMessage.parse(shown)).toEqual(shown);
});

type Handle = (headers: Record<string, string | string[] | undefined>, body: Uint8Array) => Promise<void>;

async function listening(handle: Handle): Promise<AsyncDisposable & { url: string }> {
  const server = createServer(async (request, response) => {
    const parts: Uint8Array[] = [];
    for await (const part of request) parts.push(part as Uint8Array);
    const status = await handle(request.headers, Buffer.concat(parts)).then(
      () => 204,
      () => 401,
    );
    response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
