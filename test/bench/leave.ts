import { Agent } from "node:http";
import { nowMs } from "./child.ts";
import { type Door, post } from "./load.ts";

export type LeavePlan = {
  door: Door;
  model: string;
  streams: number /** Events read before leaving, at most. */;
  maxEvents: number;
};

export type Departure = {
  /** Text of the call, by which the upstream knows it. */
  text: string;
  runId: string | null;
  leftAtMs: number;
};

/** Opens all streams at once; each client leaves at a moment of its own, somewhere after the headers. */
export async function leave({ door, model, streams, maxEvents }: LeavePlan): Promise<Departure[]> {
  const agent = new Agent({ keepAlive: false });
  const one = async (at: number): Promise<Departure> => {
    const text = `${door.url} ${at}`;
    const response = await post(door, { model, stream: true, text }, agent);
    const runId = response.headers["x-weir-run-id"];
    const wanted = 1 + Math.floor(Math.random() * maxEvents);
    let pieces = 0;
    await new Promise<void>((resolve, reject) => {
      response.on("data", () => ++pieces === wanted && resolve());
      response.on("end", () => reject(new Error("the stream ended before its client left")));
      response.on("error", reject);
    });
    // Between two events rather than right after one.
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
    const leftAtMs = nowMs();
    response.removeAllListeners("error").on("error", () => {});
    response.destroy();
    return { text, runId: typeof runId === "string" ? runId : null, leftAtMs };
  };
  return Promise.all(Array.from({ length: streams }, (_, at) => one(at)));
}
