import { limits } from "../contract/limits.ts";
import { Answer } from "./answer.ts";
import { AppError, toAppError } from "./errors.ts";
import { StreamGate } from "./gate.ts";
import type { Prepared } from "./prepare.ts";
import type { Principal } from "./principal.ts";
import { type Channel, type RelayEnd, relay, type Timeouts } from "./relay.ts";
import { type Ended, endRun, type RunEndPorts, type RunFacts } from "./runEnd.ts";
import type { OpenRun } from "./runRecord.ts";
import { readCompletion, readText, streamOf } from "./upstreamBody.ts";
import { statusError } from "./upstreamErrors.ts";
import type { CallUpstream } from "./upstreams.ts";

export type CompletionRunPorts = RunEndPorts & {
  callUpstream: CallUpstream;
  openRun: OpenRun;
  timeouts: Timeouts;
  /** A pipe to the client whose writes wait for its reader. */
  openChannel: () => Channel;
  /** Keeps the invocation alive for work that outlives the response. */
  keepAlive: (work: Promise<unknown>) => void;
};

/** One run under way: opens its record, calls the upstream, and sees to its end. */
export function beginRun(ports: CompletionRunPorts, principal: Principal, prepared: Prepared) {
  const { start, route, body } = prepared;
  const abort = new AbortController();
  // Clocks may step back.
  const elapsedMs = () => Math.max(0, Date.now() - start.createdAtMs);
  const facts = {
    headersMs: null as number | null,
    firstTokenMs: null as number | null,
    status: null as number | null,
  };
  // Beside the upstream call, not before it: settling writes the row whole if this fails.
  const opened = ports.openRun(start, "running").catch((cause) => {
    ports.log("run_not_opened", { runId: start.id, cause });
  });
  ports.keepAlive(opened);

  async function end(status: RunFacts["status"], error: AppError | null, answer: Answer): Promise<Ended> {
    const totalMs = elapsedMs();
    const attempt = {
      model: start.modelAsked,
      upstream: route.upstream,
      startedMs: 0,
      endedMs: totalMs,
      status: facts.status,
      error: error?.code ?? null,
    };
    const { headersMs, firstTokenMs } = facts;
    const all: RunFacts = { status, error, answer, attempts: [attempt], headersMs, firstTokenMs, totalMs };
    const ended = await endRun(ports, prepared, all, { keepContents: principal.keepContents, opened });
    ports.keepAlive(ended.written);
    return ended;
  }

  async function fail(thrown: unknown, answer = new Answer()): Promise<never> {
    const error = withRunId(toAppError(thrown), start.id);
    abort.abort();
    ports.keepAlive(end("failed", error, answer));
    throw error;
  }

  /** Aborts the call with a timeout after `ms` and makes that the error of whatever `work` was at. */
  async function within<Result>(ms: number, message: string, work: () => Promise<Result>): Promise<Result> {
    const timer = setTimeout(() => abort.abort(new AppError("upstream_timeout", message)), ms);
    try {
      return await work();
    } catch (thrown) {
      throw abort.signal.reason instanceof AppError ? abort.signal.reason : thrown;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The upstream's answer once its headers are in; a refusal becomes the error its status stands for. */
  function headers(): Promise<Response> {
    return within(ports.timeouts.headersMs, "The upstream sent no headers in time.", async () => {
      const response = await ports.callUpstream({ route, body, stream: start.stream, signal: abort.signal });
      facts.headersMs = elapsedMs();
      facts.status = response.status;
      if (response.ok) return response;
      throw statusError(response, await readText(response, limits.maxEventBytes), route.secrets);
    });
  }

  async function whole(): Promise<{ text: string; answer: Answer; ended: Ended }> {
    const answer = new Answer();
    try {
      const text = await within(ports.timeouts.totalMs, "The completion took longer than its total time.", async () =>
        readText(await headers(), limits.maxUpstreamBytes),
      );
      readCompletion(text, answer, route.secrets);
      return { text, answer, ended: await end("succeeded", null, answer) };
    } catch (thrown) {
      return fail(thrown, answer);
    }
  }

  async function stream(clientGone: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const gate = new StreamGate({ hideUsage: prepared.hideUsage, secrets: route.secrets });
    gate.onFirstToken = () => {
      facts.firstTokenMs = elapsedMs();
    };
    const connect = () => headers().then(streamOf);
    const { timeouts } = ports;
    const relayed = relay({ channel: ports.openChannel(), connect, gate, timeouts, abort, clientGone, elapsedMs });
    ports.keepAlive(relayed.ended.then((how) => ended(how, gate)));
    ports.keepAlive(relayed.closed);
    return relayed.committed.then(
      () => relayed.body,
      (error: AppError) => Promise.reject(withRunId(error, start.id)),
    );
  }

  async function ended(how: RelayEnd, gate: StreamGate): Promise<void> {
    const error = how.status === "failed" ? how.error : null;
    const { written } = await end(how.status, error, gate.settle());
    await written;
  }

  return { whole, stream };
}

function withRunId(error: AppError, runId: string): AppError {
  const { retryAfterSeconds } = error;
  return new AppError(error.code, error.message, {
    param: error.param,
    details: { ...error.details, runId },
    cause: error.cause,
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  });
}
