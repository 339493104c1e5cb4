import { describe, expect, it } from "vitest";
import { WebhookEvent } from "../../src/contract/endpoints.ts";
import { WebhookMessage } from "../../src/contract/webhookMessages.ts";
import { derivedId, idTimeMs, newId } from "../../src/core/ids.ts";
import type { JobSpec } from "../../src/core/jobSpec.ts";
import { noticeTo, runNews, toldOf } from "../../src/core/webhookMessages.ts";
import { sampleNotice } from "../../src/core/webhookSamples.ts";
import { anOutcome, aStart } from "../support/runRecords.ts";

const endedAtMs = 1_700_000_000_000;

function aSpec(more: Partial<JobSpec> = {}): JobSpec {
  return { start: aStart({ createdAtMs: endedAtMs - 1_000 }), keepContents: true, ...more } as JobSpec;
}

function newsOf(content: string, more: { spec?: JobSpec; output?: unknown } = {}) {
  const { spec = aSpec(), output } = more;
  return runNews(spec, {
    outcome: anOutcome(),
    output: output === undefined ? null : { valid: true, value: output },
    endedAtMs,
    answer: { content, reasoning: "because", toolCalls: [] },
  });
}

const dataOf = ({ body }: { body: string }) => WebhookMessage.parse(JSON.parse(body)).data;

describe("the id of a message", () => {
  it("is the same for the same end and endpoint, and another one for any other", async () => {
    const news = newsOf("Hello");
    const { id } = await noticeTo("end_1", news);
    expect(id).toMatch(/^dlv_[0-7][0-9a-hjkmnp-tv-z]{25}$/);
    expect(idTimeMs(id)).toBe(endedAtMs);
    expect(
      (await noticeTo("end_1", newsOf("Hello", { spec: aSpec({ start: { ...aSpec().start, id: news.runId ?? "" } }) })))
        .id,
    ).toBe(id);
    const others = [
      await noticeTo("end_2", news),
      await noticeTo("end_1", { ...news, runId: newId("run") }),
      await noticeTo("end_1", { ...news, event: "run.failed" }),
      await noticeTo("end_1", { ...news, atMs: endedAtMs + 1 }),
    ];
    expect(new Set([id, ...others.map((one) => one.id)]).size).toBe(5);
  });

  it("is spread evenly: a thousand names share no id, and use every digit", async () => {
    const ids = await Promise.all(Array.from({ length: 1_000 }, (_, at) => derivedId("dlv", 0, String(at))));
    expect(new Set(ids).size).toBe(1_000);
    expect(new Set(ids.map((id) => id.slice(14)).join("")).size).toBe(32);
  });
});

describe("who is told", () => {
  const listeners = [
    { endpointId: "end_1", events: ["run.succeeded" as const] },
    { endpointId: "end_2", events: [] },
  ];

  it("are those who listen, and the one that is named, each once and none that is not there", () => {
    const named = (endpointId: string, events?: WebhookEvent[]) =>
      toldOf("run.succeeded", listeners, { endpointId, events });
    expect(toldOf("run.succeeded", listeners, undefined)).toEqual(["end_1"]);
    expect(toldOf("run.failed", listeners, undefined)).toEqual([]);
    expect(named("end_2")).toEqual(["end_1", "end_2"]);
    expect(named("end_2", ["run.failed"])).toEqual(["end_1"]);
    expect(named("end_1", ["run.failed"])).toEqual(["end_1"]);
    expect(named("end_3")).toEqual(["end_1"]);
  });
});

describe("the body of a message", () => {
  it("has the answer's text, or its parsed output instead, and no reasoning", () => {
    expect(dataOf(newsOf("Hello"))).toMatchObject({ text: "Hello", truncated: false });
    expect(dataOf(newsOf('{"a":1}', { output: { a: 1 } }))).toMatchObject({ text: null, output: { a: 1 } });
    expect(newsOf("Hello").body).not.toContain("because");
  });

  it("is shorter than 20 kB for every length of answer, and leaves out no answer that fits", () => {
    const bytes = (text: string) => new TextEncoder().encode(text).length;
    const rest = bytes(newsOf("").body);
    const room = 19_999 - rest;
    for (const [text, fits] of [
      ["a".repeat(room), true],
      ["a".repeat(room + 1), false],
      ["国".repeat(Math.floor(room / 3)), true],
      ["国".repeat(Math.floor(room / 3) + 1), false],
      ['"'.repeat(Math.floor(room / 2)), true],
      ['"'.repeat(Math.floor(room / 2) + 1), false],
      ["\u0000".repeat(Math.floor(room / 6) + 1), false],
      ["a".repeat(1_000_000), false],
    ] as const) {
      const news = newsOf(text);
      expect(bytes(news.body)).toBeLessThan(20_000);
      expect(dataOf(news)).toMatchObject(fits ? { text, truncated: false } : { text: null, truncated: true });
    }
  });

  it.each(WebhookEvent.options)("of a sample of %s is one of its kind", (event) => {
    const { body, ...notice } = sampleNotice(event, endedAtMs);
    const { type, data } = WebhookMessage.parse(JSON.parse(body));
    expect(type).toBe(event);
    expect(data.test).toBe(true);
    expect(notice).toMatchObject({ event, id: expect.stringMatching(/^dlv_/) });
  });
});
