import { Agent, type IncomingMessage } from "node:http";
import { type Door, post } from "./load.ts";

export type SlowPlan = { door: Door; model: string; clients: number; bytesPerSecond: number; forMs: number };

/** Clients that take an answer slowly, for a while, and then leave; resolves with the bytes they took. */
export async function slow({ door, model, clients, bytesPerSecond, forMs }: SlowPlan): Promise<number> {
  const agent = new Agent({ keepAlive: false });
  const deadlineMs = performance.now() + forMs;
  const one = async (at: number): Promise<number> => {
    const response = await post(door, { model, stream: true, text: `slow ${at}` }, agent);
    return readSlowly(response, bytesPerSecond, deadlineMs);
  };
  const taken = await Promise.all(Array.from({ length: clients }, (_, at) => one(at)));
  return taken.reduce((sum, bytes) => sum + bytes, 0);
}

function readSlowly(response: IncomingMessage, bytesPerSecond: number, deadlineMs: number): Promise<number> {
  let taken = 0;
  return new Promise((resolve, reject) => {
    let resume: NodeJS.Timeout;
    setTimeout(() => {
      clearTimeout(resume);
      response.removeAllListeners("error").on("error", () => {});
      response.destroy();
      resolve(taken);
    }, deadlineMs - performance.now());
    response.on("data", (piece: Buffer) => {
      taken += piece.length;
      response.pause();
      resume = setTimeout(() => response.resume(), (piece.length / bytesPerSecond) * 1000);
    });
    response.on("error", reject);
    response.on("end", () => reject(new Error("a slow reader got the whole answer")));
  });
}
