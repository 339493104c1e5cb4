import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { chat, completion, delta, events, scriptUpstream } from "../support/call.ts";
import { done, expectFailed, expectNextServed, finish, outcomeOf, retrying } from "../support/faults.ts";
import { insertTestProject } from "../support/projects.ts";

let secret: string;
beforeAll(async () => {
  ({ secret } = await insertTestProject());
});
afterEach(() => expectNextServed(secret));

const call = async (body: Record<string, unknown>) => outcomeOf(await chat(secret, body, { env: retrying }));
const typed = (body: BodyInit | null, type: string, status = 200) =>
  new Response(body, { status, headers: { "content-type": type } });

const stream = delta("ok") + finish + done;

describe.each([false, true])("fault 15: an answer that is none (stream: %s)", (streamed) => {
  it.each([
    ["an HTML page", () => typed("<html><a href='http://upstream.test'>busy</a></html>", "text/html")],
    ["an HTML page that calls itself JSON", () => typed("<html>busy</html>", "application/json")],
    ["plain text", () => typed("busy", "text/plain")],
    ["an empty 200", () => new Response(null)],
    ["an empty 200 of the right type", () => typed("", streamed ? "text/event-stream" : "application/json")],
    ["[DONE] alone", () => typed(done, "text/event-stream")],
    ["a 204", () => new Response(null, { status: 204 })],
    ["another JSON", () => Response.json({ id: "x" })],
    ["a JSON list", () => Response.json([1, 2])],
    ["no choices", () => Response.json({ choices: [] })],
    ["choices without messages", () => Response.json({ choices: [{}] })],
    ["half a JSON", () => typed('{"choices":[{"mess', "application/json")],
    ["the other form", () => (streamed ? completion("ok") : typed(stream, "text/event-stream"))],
  ])("%s is 502, never success", async (_name, answer) => {
    using _sent = scriptUpstream(answer);
    const outcome = await call({ stream: streamed });
    expect(outcome.status).toBe(502);
    expect(outcome.error).toMatchObject({ type: "api_error", code: "upstream_error" });
    expect(outcome.done).toBe(false);
    expectFailed(outcome, "upstream_error");
    expect(outcome.run).toMatchObject({ usage_source: "unknown", cost_micros: null });
  });

  it("an HTML page of an error's status is no quotation for the client", async () => {
    using _sent = scriptUpstream(() => typed("<html>nginx at http://upstream.test</html>", "text/html", 503));
    const outcome = await call({ stream: streamed });
    expect(outcome.status).toBe(502);
    expect(outcome.text).not.toContain("nginx");
  });

  it("a fallback model may answer in its place", async () => {
    using _sent = scriptUpstream(({ body }) => {
      if (body["model"] !== "second") return typed("<html>busy</html>", "text/html");
      return streamed ? events(stream) : completion("ok");
    });
    const outcome = await call({ stream: streamed, fallbacks: ["second"] });
    expect(outcome.status).toBe(200);
    expect(outcome.headers.get("x-weir-model")).toBe("second");
    expect(outcome.attempts).toMatchObject([
      { status: 200, error: "upstream_error" },
      { status: 200, error: null },
    ]);
  });
});

describe.each([false, true])("fault 16: a redirect (stream: %s)", (streamed) => {
  it.each([301, 302, 303, 307, 308, 304, 300])("%i is refused and not followed", async (status) => {
    const headers = { location: "http://elsewhere.test/v1/chat/completions" };
    using sent = scriptUpstream(() => new Response(null, { status, headers }));
    const outcome = await call({ stream: streamed });
    expect(outcome.status).toBe(502);
    expect(outcome.text).not.toContain("elsewhere");
    expect(outcome.headers.get("location")).toBeNull();
    expect(sent.map(({ url }) => new URL(url).host)).toEqual(["upstream.test"]);
    expectFailed(outcome, "upstream_error");
  });
});
