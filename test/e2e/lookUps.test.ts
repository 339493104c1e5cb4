import { afterAll, beforeAll, expect, it } from "vitest";
import { type FaultBench, startFaultBench } from "./faultBench.ts";

let bench: FaultBench;
beforeAll(async () => {
  bench = await startFaultBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

/** Calls at once with a key that the server has not seen yet, the first of which leaves. */
async function callsAtOnce(leaveAfterMs: number): Promise<number[]> {
  const { secret } = await bench.client.keys.create.mutate({ name: "cold", scopes: ["completions:run"] });
  const leaving = new AbortController();
  const call = async (signal?: AbortSignal) => {
    const headers = { authorization: `Bearer ${secret}` };
    const response = await fetch(`${bench.server.url}/v1/models`, { headers, ...(signal && { signal }) });
    await response.text();
    return response.status;
  };
  const left = call(leaving.signal).catch(() => 0);
  const others = Array.from({ length: 8 }, () => call());
  setTimeout(() => leaving.abort(), leaveAfterMs);
  await left;
  return Promise.all(others);
}

it("calls at once with a key not seen yet are all answered, whenever one of them leaves", async () => {
  for (let leaveAfterMs = 0; leaveAfterMs < 10; leaveAfterMs += 1)
    expect(await callsAtOnce(leaveAfterMs)).toEqual(Array(8).fill(200));
});
