/**
 * From a GitHub issue to a comment with its summary: a trigger takes the event in, a template's run summarises it, an
 * endpoint is told, and the receiver there posts the comment. `npm run example:github` runs it against a running weir;
 * everything else is on this machine, GitHub included.
 */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { createTRPCClient, httpBatchLink } from "@trpc/client";
import type { AppRouter } from "weir/router";
import { githubReceiver, type Handled } from "./githubReceiver.ts";
import { type PostedComment, postEvent, startComments } from "./githubStandIn.ts";
import { listen } from "./loopback.ts";

type Weir = ReturnType<typeof createTRPCClient<AppRouter>>;
export type Options = { url: string; key: string; model: string; print: (line: string) => void };

/** For a run and what follows from it, ms; a real model takes some of it. */
const patienceMs = 60_000;

const template = "issue-summary";
const content = {
  messages: [
    {
      role: "system" as const,
      content: "Summarise the issue in two sentences, for people who triage. Invent nothing.",
    },
    { role: "user" as const, content: "{{title}}\n\n{{body}}" },
  ],
};

export async function runGithub({ url, key, model, print }: Options): Promise<void> {
  const authorization = `Bearer ${key}`;
  const weir: Weir = createTRPCClient<AppRouter>({
    links: [httpBatchLink({ url: `${url}/trpc`, headers: { authorization } })],
  });
  await using undo = new AsyncDisposableStack();

  // GitHub's comments, and the receiver that writes there.
  const token = randomUUID();
  const posted: PostedComment[] = [];
  const comments = undo.use(await startComments(token, (comment) => posted.push(comment)));
  const { promise: handled, resolve } = Promise.withResolvers<Handled>();
  let endpointSecret = "";
  const receive = githubReceiver({
    secret: () => endpointSecret,
    github: { url: comments.url, token },
    answerOf: (runId) => readAnswer(`${url}/v1/runs/${runId}`, authorization),
    handled: resolve,
  });
  const receiver = undo.use(await listen(receive));

  print("1. What weir is told, once");
  const version = await savedVersion(weir);
  print(`   template  ${template}, version ${version}`);
  const { endpoint, secret } = await weir.endpoints.create.mutate({
    url: `${receiver.url}/weir`,
    description: template,
  });
  undo.defer(async () => void (await weir.endpoints.archive.mutate({ id: endpoint.id })));
  endpointSecret = secret;
  print(`   endpoint  ${endpoint.id} at ${endpoint.url}`);
  const made = await weir.triggers.create.mutate({
    name: "new issues",
    scheme: "github",
    template,
    version,
    model,
    filter: "$headers.\"x-github-event\" == 'issues' && action == 'opened'",
    variables: { title: "issue.title", body: { expression: "issue.body", default: "", maxChars: 8_000 } },
    metadata: { repository: "repository.full_name", issue: "issue.number" },
    callback: { endpointId: endpoint.id },
  });
  const { trigger } = made;
  undo.defer(async () => void (await weir.triggers.archive.mutate({ id: trigger.id })));
  print(`   trigger   ${url}/hooks/${trigger.id.slice(0, 12)}…, for ${trigger.filter}`);

  print("2. GitHub posts events");
  const payload = JSON.parse(await readFile(new URL("issueOpened.json", import.meta.url), "utf8")) as object;
  const opened = { event: "issues", payload, delivery: randomUUID() };
  const send = async (what: string, event: Parameters<typeof postEvent>[2]) => {
    const reply = await postEvent(`${url}${trigger.path}`, made.secret, event);
    const told = reply.duplicate ? "known already" : reply.eventState;
    print(`   ${what.padEnd(18)} ${reply.status}, ${told}${reply.runId ? `, ${reply.runId}` : ""}`);
  };
  await send("an issue is opened", opened);
  await send("the same again", opened);
  await send("it is closed", { event: "issues", payload: { ...payload, action: "closed" } });

  print("3. weir tells the receiver that the run has ended");
  const { messageId, type, runId, issue, commentUrl } = await inTime(handled);
  print(`   ${type} of ${runId}, about ${issue}`);
  print(`   message ${messageId}: the signature is right`);
  const [comment] = posted;
  if (!comment || !commentUrl) throw new Error(`there is nothing to post: ${type}`);
  print("4. The receiver posts the summary back");
  print(`   POST ${new URL(commentUrl).pathname}`);
  for (const line of comment.body.split(/\r?\n/)) print(`   | ${line}`);

  print("5. What is on record");
  const delivery = await delivered(weir, endpoint.id);
  print(`   delivery  ${delivery.status} at attempt ${delivery.attempts}, answered ${delivery.lastAttempt?.status}`);
  const { items } = await weir.triggers.events.query({ triggerId: trigger.id });
  print(`   events    ${items.map(({ status }) => status).join(", ")}`);
}

/** The version that holds the template's contents: a new one only where they are new. */
async function savedVersion(weir: Weir): Promise<number> {
  const { items } = await weir.templates.list.query({ query: template });
  const isKnown = items.some(({ name }) => name === template);
  const write = isKnown ? weir.templates.save : weir.templates.create;
  const { version } = await write.mutate({ name: template, content });
  return version.version;
}

/** An answer that was too long for a message. */
async function readAnswer(url: string, authorization: string): Promise<string> {
  const response = await fetch(url, { headers: { authorization } });
  const run = (await response.json()) as { answer: { choices: { message: { content: string } }[] } | null };
  return run.answer?.choices[0]?.message.content ?? "";
}

/** The message's delivery, as soon as weir knows of the receiver's answer. */
async function delivered(weir: Weir, endpointId: string) {
  const until = Date.now() + patienceMs;
  for (;;) {
    const [delivery] = (await weir.endpoints.deliveries.list.query({ endpointId })).items;
    if (delivery?.status === "delivered") return delivery;
    if (Date.now() > until) throw new Error("the message was not delivered in time");
    await pause(50);
  }
}

async function inTime<Value>(promise: Promise<Value>): Promise<Value> {
  const late = new AbortController();
  const timer = pause(patienceMs, undefined, { signal: late.signal }).then(() => {
    throw new Error("weir has told nothing in time");
  });
  try {
    return await Promise.race([promise, timer]);
  } finally {
    late.abort();
    timer.catch(() => {});
  }
}
