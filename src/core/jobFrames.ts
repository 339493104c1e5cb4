import { limits } from "../contract/limits.ts";

/** How a job's events go over a wire: as lines of JSON, or as the server-sent events of a tRPC subscription. */
export type FrameForm = "lines" | "subscription";

/** What frames a stream of events; an event is the JSON text of a `JobEvent`. */
export type Frames = {
  opened: string;
  event: (json: string, seq: number) => string;
  /** Sent into silence, so that no line goes idle; null where that is not needed. */
  ping: string | null;
  closed: string;
};

const lines: Frames = { opened: "", event: (json) => `${json}\n`, ping: null, closed: "" };

/**
 * tRPC's protocol as its client reads it; a client that lost its line comes back after `retry` ms. After the end that is a
 * day, for an EventSource that nobody closes: the status 204 would stop it too, but tRPC's client takes that for a failure.
 */
const subscription: Frames = {
  opened: `event: connected\ndata: ${JSON.stringify({ reconnectAfterInactivityMs: 2 * limits.pingMs })}\nretry: ${limits.watchRetryMs}\n\n`,
  event: (json, seq) => `data: ${json}\nid: ${seq}\n\n`,
  ping: "event: ping\ndata: \n\n",
  closed: `event: return\ndata: \nretry: ${limits.jobEventsMs}\n\n`,
};

export const framesOf: Record<FrameForm, Frames> = { lines, subscription };
