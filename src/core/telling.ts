import type { Callback } from "../contract/endpoints.ts";
import { limits } from "../contract/limits.ts";
import type { EndpointObjects, EndpointOwner, FindListeners, Listeners } from "./endpointPorts.ts";
import { type News, type Notice, noticeTo, toldOf } from "./webhookMessages.ts";

/** Hands messages to an endpoint's object, which takes each once under its id and keeps it so long; they are on disk then. */
export type AcceptNotices = (owner: EndpointOwner, notices: readonly Notice[], keptMs: number) => Promise<void>;

export type Telling = { projectId: string; news: News; callback: Callback | undefined };

const dayMs = 24 * 3_600_000;

/**
 * Hands news over to the endpoints that are told of it. Rejects when one cannot be reached: to be repeated then, as an
 * endpoint takes the same news once.
 */
export async function tellEndpoints(
  acceptNotices: AcceptNotices,
  { listeners, retentionDays }: Listeners,
  { projectId, news, callback }: Telling,
): Promise<void> {
  // What was answered is kept nowhere longer than the project keeps it.
  const keptMs = Math.min(limits.deliveryKeptMs, (retentionDays ?? Number.POSITIVE_INFINITY) * dayMs);
  const told = toldOf(news.event, listeners, callback).map(async (endpointId) =>
    acceptNotices({ projectId, endpointId }, [await noticeTo(endpointId, news)], keptMs),
  );
  const failure = (await Promise.allSettled(told)).find((result) => result.status === "rejected");
  if (failure) throw failure.reason;
}

/** Has all endpoints of a project drop what they have of a run. Rejects when one cannot be reached: to be repeated then. */
export function forgetTold(findListeners: FindListeners, forgetRun: EndpointObjects["forgetRun"]) {
  return async (projectId: string, runId: string): Promise<void> => {
    const { listeners } = await findListeners(projectId);
    await Promise.all(listeners.map(({ endpointId }) => forgetRun({ projectId, endpointId }, runId)));
  };
}
