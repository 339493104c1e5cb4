import type { JobEvent, JobResult } from "../contract/jobs.ts";
import { ToldAnswer } from "./answerDelta.ts";
import { parsedAnswer } from "./output.ts";

type DoneEvent = Extract<JobEvent, { type: "done" }>;

/** What a job's events come to, to the end or to where they stop. Rejects as they do. */
export async function resultOf(runId: string, events: AsyncIterable<JobEvent>): Promise<JobResult> {
  const answer = new ToldAnswer();
  let status: JobResult["status"] = "queued";
  let end: DoneEvent | null = null;
  for await (const event of events) {
    answer.add(event);
    if (event.type === "status") status = event.status === "queued" ? "queued" : "running";
    if (event.type === "done") end = event;
  }
  const { content, reasoning, toolCalls } = answer;
  return {
    runId,
    status: end?.run.status ?? status,
    content,
    reasoning,
    toolCalls: toolCalls.map(({ id, function: called }) => ({ id, ...called })),
    ...(end && outputOf(end, content)),
    ...(end?.outputInvalid && { outputInvalid: end.outputInvalid }),
    ...(end?.answerKept === false && { answerKept: false }),
    ...(end?.answerCut && { answerCut: true }),
    run: end?.run ?? null,
  };
}

/** One that was too long for the event is in the text. */
function outputOf(end: DoneEvent, content: string | null): Pick<JobResult, "output"> {
  const { run, output, answerKept, answerCut } = end;
  if (output !== undefined) return { output };
  const inText = run.outputValid === true && answerKept !== false && !answerCut;
  return inText ? { output: parsedAnswer(content) } : {};
}
