import { expect, it, vi } from "vitest";
import { Answer } from "../../src/core/answer.ts";
import type { Prepared } from "../../src/core/prepare.ts";
import { endRun, type RunFacts } from "../../src/core/runEnd.ts";
import { aStart } from "../support/runRecords.ts";

/** A record whose writes end when the test says so. */
function aRecord() {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const settleRun = async ({ id }: { id: string }) => {
    begun.push(id);
    await new Promise<void>((resolve) => ends.set(id, resolve));
    return true;
  };
  return {
    begun,
    end: (id: string) => ends.get(id)?.(),
    ports: { settleRun, priceOf: async () => null, log: () => {} },
  };
}

const facts: RunFacts = {
  status: "succeeded",
  error: null,
  answer: new Answer(),
  attempts: [],
  candidate: { model: "m", upstream: null },
  headersMs: null,
  firstTokenMs: null,
  totalMs: 1,
};

async function ended(record: ReturnType<typeof aRecord>, isLong: boolean) {
  const start = aStart();
  const prepared = { start, body: { messages: [] }, variables: null, outputSchema: null } as unknown as Prepared;
  const how = { keepContents: true, isLong, opened: Promise.resolve() };
  return { id: start.id, ...(await endRun(record.ports, prepared, facts, how)) };
}

it("long answers that end at once are written one after the other, and hold up no short one", async () => {
  const record = aRecord();
  const [first, second] = [await ended(record, true), await ended(record, true)];
  const short = await ended(record, false);
  await vi.waitUntil(() => record.begun.length === 2, { interval: 1 });
  expect(record.begun).toEqual([first.id, short.id]);
  record.end(first.id);
  await first.written;
  await vi.waitUntil(() => record.begun.includes(second.id), { interval: 1 });
  record.end(second.id);
  record.end(short.id);
  await Promise.all([second.written, short.written]);
});
