import { limits } from "../contract/limits.ts";
import type { UpstreamTest } from "../contract/upstreams.ts";
import { Answer } from "./answer.ts";
import { AppError, toAppError } from "./errors.ts";
import { readCompletion, readText } from "./upstreamBody.ts";
import { cleanMessage, statusError } from "./upstreamErrors.ts";
import type { CallUpstream, Route } from "./upstreams.ts";

export type TestPorts = {
  callUpstream: CallUpstream;
  now: () => number;
  /** The whole call, headers and body. */
  testTimeoutMs: number;
};

/** One tiny completion. Never rejects: a failure is part of the result, its text cleaned of what `route` keeps secret. */
export async function testRoute(ports: TestPorts, route: Route): Promise<UpstreamTest> {
  const { callUpstream, now, testTimeoutMs } = ports;
  const abort = new AbortController();
  const late = new AppError("upstream_timeout", `The upstream did not answer within ${testTimeoutMs} ms.`);
  const { promise: timeout, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(late);
    abort.abort(late);
  }, testTimeoutMs);
  const body = { model: route.model, messages: [{ role: "user", content: "ping" }], max_tokens: 1 };
  const began = now();
  const latencyMs = () => Math.max(0, now() - began);
  let status: number | null = null;

  async function ask(): Promise<string | null> {
    const response = await callUpstream({ route, body, stream: false, signal: abort.signal });
    status = response.status;
    const text = await readText(response, limits.maxEventBytes);
    if (!response.ok) throw statusError(response, text, route.secrets);
    const answer = new Answer();
    readCompletion(text, answer, route.secrets);
    return answer.model;
  }

  try {
    const model = await Promise.race([ask(), timeout]);
    return { ok: true, status, latencyMs: latencyMs(), ...(model !== null && { model }) };
  } catch (thrown) {
    const { code, message } = toAppError(thrown);
    return {
      ok: false,
      status,
      latencyMs: latencyMs(),
      error: { code, message: cleanMessage(message, route.secrets) },
    };
  } finally {
    clearTimeout(timer);
  }
}
