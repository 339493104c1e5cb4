import { createParser, type EventSourceMessage } from "eventsource-parser";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { JobEvent } from "../../src/contract/jobs.ts";
import { ToldAnswer } from "../../src/core/answerDelta.ts";
import { OpenaiRunEvents } from "../../src/core/openaiRunEvents.ts";
import { runSummary } from "../../src/core/runSummary.ts";
import { anOutcome, aStart } from "../support/runRecords.ts";

const run = runSummary(aStart(), anOutcome());

type Unnumbered<Event> = Event extends unknown ? Omit<Event, "seq"> : never;

/** A job's whole log, by the texts of each of its attempts. */
function logOf(attempts: readonly (readonly string[])[]): JobEvent[] {
  const events: Unnumbered<JobEvent>[] = [{ type: "status", status: "queued", attempt: 0 }];
  for (const [at, texts] of attempts.entries()) {
    events.push({ type: "status", status: "running", attempt: at + 1 });
    for (const content of texts) events.push({ type: "delta", content });
  }
  events.push({ type: "done", run });
  return events.map((event, at) => ({ seq: at + 1, ...event }) as JobEvent);
}

type Client = { lastId: number; text: string; done: boolean };

/** One connection that breaks after so many events; its client has seen whole ones only. */
function connect(client: Client, log: readonly JobEvent[], breaksAfter: number): void {
  const teller = new OpenaiRunEvents({ runId: run.id, model: "m", afterSeq: client.lastId });
  const sent = log.filter(({ seq }) => seq > client.lastId).map((event) => teller.tell(event));
  const events: EventSourceMessage[] = [];
  createParser({ onEvent: (event) => events.push(event) }).feed(sent.join(""));
  for (const { id, event, data } of events.slice(0, breaksAfter)) {
    client.lastId = Number(id);
    if (event === "restart") client.text = "";
    client.done ||= data === "[DONE]";
    if (data !== "[DONE]") client.text += JSON.parse(data).choices[0]?.delta.content ?? "";
  }
}

it("tells the text of the last attempt, wherever and however often the connection breaks", () => {
  const attempts = fc.array(fc.array(fc.string({ unit: "grapheme" }), { maxLength: 5 }), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(attempts, fc.array(fc.nat({ max: 4 }), { maxLength: 10 }), (texts, breaks) => {
      const log = logOf(texts);
      const answer = new ToldAnswer();
      for (const event of log) answer.add(event);
      const client = { lastId: 0, text: "", done: false };
      for (const after of breaks) if (!client.done) connect(client, log, after);
      if (!client.done) connect(client, log, Number.POSITIVE_INFINITY);
      expect(client).toMatchObject({ text: answer.content ?? "", done: true });
    }),
  );
});
