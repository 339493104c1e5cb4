import type { JobEvent } from "../contract/jobs.ts";
import type { BackgroundChatRequest, RunObject } from "../contract/openaiRuns.ts";
import type { AdmissionHeaders } from "./admission.ts";
import { fromChatRequest } from "./completionRequest.ts";
import { atPlace } from "./errorPlaces.ts";
import { AppError, toAppError } from "./errors.ts";
import type { JobUseCases } from "./jobs.ts";
import { OpenaiRunEvents } from "./openaiRunEvents.ts";
import { acceptedRun, isSettled, type RunAnswer, runObject } from "./openaiRunObject.ts";
import type { Principal } from "./principal.ts";
import type { FindRun } from "./runs.ts";

export type OpenaiRunPorts = {
  jobs: Pick<JobUseCases, "submitRequest" | "openWatch" | "result" | "cancel">;
  findRun: FindRun;
  /** The model that a run asked for; null where there is no such run. */
  findModelAsked: (projectId: string, runId: string) => Promise<string | null>;
};

export type RunEventsInput = {
  runId: string;
  /** Number of the last event that the client has seen. */
  afterSeq: number;
  /** Where it is known already. */
  model?: string;
};

/** Where the jobs' fields stand on /v1, for errors. */
const places = {
  idempotencyKey: "Idempotency-Key",
  delayMs: "delay_ms",
  runAt: "run_at",
  deadlineMs: "deadline_ms",
  onInterrupt: "on_interrupt",
  runId: "id",
  "callback.endpointId": "callback.endpoint_id",
};

/** Runs in OpenAI's shapes: jobs by `background`, and looking at any run of one's own. Errors as for the jobs. */
export function openaiRunUseCases({ jobs, findRun, findModelAsked }: OpenaiRunPorts) {
  async function find(principal: Principal, runId: string, signal: AbortSignal): Promise<RunObject> {
    const result = await jobs.result(principal, { runId, waitMs: 0 }, signal).catch(relayedNow);
    if (result?.run) return runObject(result.run, result);
    const found = await findRun(principal.projectId, runId);
    if (!found) throw new AppError("not_found", `There is no run ${runId}.`, { param: "runId" });
    // It has ended in between: what its object or its record says now is all of it.
    if (isSettled(found.run)) return find(principal, runId, signal);
    return runObject({ ...found.run, ...(result && { status: result.status }) }, result ?? noAnswer);
  }

  async function* told(
    principal: Principal,
    run: Required<RunEventsInput>,
    watch: Watch,
  ): AsyncGenerator<string, void> {
    const events = new OpenaiRunEvents(run);
    let hasAny = false;
    try {
      for await (const event of watch.events) {
        hasAny = true;
        yield events.tell(event);
      }
      if (hasAny || watch.signal.aborted) return;
      // The client has seen the end, and asks all the same: it gets it again.
      const { run: ended } = await jobs.result(principal, { runId: run.runId, waitMs: 0 }, watch.signal);
      if (ended) yield events.end(ended, run.afterSeq);
    } catch (thrown) {
      yield events.broken(toAppError(thrown));
    }
  }

  async function events(principal: Principal, input: RunEventsInput, signal: AbortSignal) {
    const { runId, afterSeq } = input;
    const [watched, model] = await Promise.all([
      jobs.openWatch(principal, { runId, lastEventId: String(afterSeq) }, signal),
      input.model ?? findModelAsked(principal.projectId, runId),
    ]);
    return told(principal, { runId, afterSeq, model: model ?? "" }, { events: watched, signal });
  }

  return {
    /** Accepts a job, whose answer is the same for all who submit it under one key; `headers` tell the caller's limits. */
    async submit(
      principal: Principal,
      body: BackgroundChatRequest,
      key: string | null,
    ): Promise<{ run: RunObject; headers: AdmissionHeaders }> {
      const { background: _, priority, delay_ms, run_at, deadline_ms, on_interrupt, callback, ...chat } = body;
      const options = {
        priority,
        delayMs: delay_ms,
        runAt: run_at,
        deadlineMs: deadline_ms,
        onInterrupt: on_interrupt,
        ...(callback && { callback: { endpointId: callback.endpoint_id, events: callback.events } }),
      };
      const asked = {
        request: fromChatRequest(chat),
        options,
        idempotencyKey: key ?? undefined,
        canonical: ["chat.completions", body],
      };
      const { headers, ...accepted } = await placed(jobs.submitRequest(principal, asked));
      return { run: acceptedRun(accepted), headers };
    },

    /** A run as it stands, with what there is of its answer. */
    find: (principal: Principal, runId: string, signal: AbortSignal) => placed(find(principal, runId, signal)),

    /**
     * Texts of server-sent events, to the run's end; see `OpenaiRunEvents`. What cannot be watched rejects before there
     * are any; what fails later is an error event. Ends, without one, when `signal` aborts.
     */
    events: (principal: Principal, input: RunEventsInput, signal: AbortSignal) =>
      placed(events(principal, input, signal)),

    /** Stops the run; returns it as it has ended, by this or before. */
    async cancel(principal: Principal, runId: string, signal: AbortSignal): Promise<RunObject> {
      await placed(jobs.cancel(principal, { runId }));
      return placed(find(principal, runId, signal));
    },
  };
}

export type OpenaiRunUseCases = ReturnType<typeof openaiRunUseCases>;

type Watch = { events: AsyncIterable<JobEvent>; signal: AbortSignal };

const noAnswer: RunAnswer = { content: null, reasoning: null, toolCalls: [] };

/** A run that is being relayed to its caller has no object to be asked. */
function relayedNow(thrown: unknown): null {
  if (thrown instanceof AppError && thrown.code === "conflict") return null;
  throw thrown;
}

async function placed<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (thrown) {
    throw atPlace(thrown, places);
  }
}
