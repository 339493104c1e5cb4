import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { chat, completion, delta, event, events, scriptUpstream, storedRun } from "../support/call.ts";
import { costOf, meteredD1 } from "../support/meteredD1.ts";
import { insertTestProject } from "../support/projects.ts";

let secret: string;
beforeAll(async () => {
  ({ secret } = await insertTestProject());
});

const done = event("[DONE]");

describe("a completion's record", () => {
  it("is written once, at its end, when it is short: at most 6 rows, 7 for the first of its day's group", async () => {
    using _sent = scriptUpstream(() => completion("ok"));
    const metered = meteredD1(env.DB);
    for (const most of [7, 6, 6]) {
      const from = metered.statements.length;
      const { response, settled } = await chat(secret, { metadata: { user: "u1" } }, { env: { DB: metered } });
      await settled();
      expect((await storedRun(response.headers.get("x-weir-run-id")))?.["status"]).toBe("succeeded");
      const written = metered.statements.slice(from).filter(({ sql }) => !/^select/i.test(sql));
      expect(written.filter(({ sql }) => /^insert into "runs"/i.test(sql))).toHaveLength(1);
      expect(costOf(metered, from).rowsWritten).toBeLessThanOrEqual(most);
      expect(costOf(metered, from).rowsWritten).toBeGreaterThan(3);
    }
  });

  it("is there while it is running when it lasts", async () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const send = (text: string) => writer.write(new TextEncoder().encode(text));
    using _sent = scriptUpstream(() => new Response(readable, { headers: { "content-type": "text/event-stream" } }));
    const sending = send(delta("a"));
    const { response, settled } = await chat(secret, { stream: true });
    const text = response.text();
    await sending;
    const id = response.headers.get("x-weir-run-id");
    expect(await vi.waitUntil(() => storedRun(id), { timeout: 5_000 })).toMatchObject({ status: "running" });
    await send(delta("b", "stop") + done);
    await writer.close();
    expect(await text).toContain(done);
    await settled();
    expect(await storedRun(id)).toMatchObject({ status: "succeeded" });
  });

  it("is each caller's own when many end at once", async () => {
    using _sent = scriptUpstream(({ body }) => events(delta(JSON.stringify(body["messages"]), "stop"), done));
    const calls = await Promise.all(
      Array.from({ length: 30 }, async (_, at) => {
        const call = await chat(secret, { stream: true, metadata: { at: String(at) } });
        await call.response.text();
        return call;
      }),
    );
    await Promise.all(calls.map(({ settled }) => settled()));
    for (const [at, { response }] of calls.entries())
      expect(await storedRun(response.headers.get("x-weir-run-id"))).toMatchObject({
        status: "succeeded",
        metadata: JSON.stringify({ at: String(at) }),
      });
  });
});
