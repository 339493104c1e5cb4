import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { ProjectGate } from "../../src/durable/projectGate.ts";
import { delta, event, type Sent, scriptUpstream } from "./call.ts";

/** Whatever says which project is meant. */
type OfProject = { principal: { projectId: string } };

/** The project's gate. */
export function gateObject({ principal }: OfProject): DurableObjectStub<ProjectGate> {
  const gates = env.GATES as DurableObjectNamespace<ProjectGate>;
  return gates.get(gates.idFromName(principal.projectId));
}

/** How many of the project's jobs wait for a slot. */
export function countWaiting(project: OfProject): Promise<number> {
  return runInDurableObject(gateObject(project), (_gate, { storage }) =>
    Number(storage.sql.exec("SELECT count(*) AS n FROM queue").one()["n"]),
  );
}

/** How many of the project's runs the log shows with this status. */
export async function countRuns({ principal }: OfProject, status: string): Promise<number> {
  const query = "SELECT count(*) AS n FROM runs WHERE project_id = ? AND status = ?";
  return (await env.DB.prepare(query).bind(principal.projectId, status).first<number>("n")) ?? 0;
}

/** The text of the user's message. */
export function askedOf({ body }: Sent): string {
  return (body["messages"] as { content: string }[])[0]?.content ?? "";
}

export type BusyUpstream = Disposable & {
  /** What was asked, in the order in which calls came. */
  asked: string[];
  /** Texts of the calls that are open. */
  open: Set<string>;
  /** Most calls that were open at a time. */
  most: number;
  /** Answers an open call. */
  answer: (text: string) => void;
  /** Answers all open calls, and those to come at once. */
  answerAll: () => void;
};

/** How often a call looks whether it is to be answered, ms: an object may not wait for a promise of the test's. */
const lookMs = 2;

/** An upstream that keeps each call open until it is told to answer; a call ends when its stream has been read. */
export function busyUpstream(): BusyUpstream {
  const answered = new Set<string>();
  let answering = false;
  const calls = scriptUpstream(async (sent) => {
    const text = askedOf(sent);
    busy.asked.push(text);
    busy.open.add(text);
    busy.most = Math.max(busy.most, busy.open.size);
    while (!answering && !answered.has(text)) await new Promise((go) => setTimeout(go, lookMs));
    return wholeStream(text, () => busy.open.delete(text));
  });
  const busy: BusyUpstream = {
    asked: [],
    open: new Set(),
    most: 0,
    answer(text) {
      answered.add(text);
    },
    answerAll() {
      answering = true;
    },
    [Symbol.dispose]: () => calls[Symbol.dispose](),
  };
  return busy;
}

function wholeStream(text: string, onRead: () => void): Response {
  const source = {
    pull(controller: ReadableStreamDefaultController<Uint8Array>) {
      controller.enqueue(new TextEncoder().encode(`${delta(text)}${delta("", "stop")}${event("[DONE]")}`));
      controller.close();
      onRead();
    },
  };
  const body = new ReadableStream<Uint8Array>(source, { highWaterMark: 0 });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}
