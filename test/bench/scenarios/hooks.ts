import { createHmac } from "node:crypto";
import { percentile, type Section } from "../figures.ts";
import type { Bench } from "../rounds.ts";
import { type BenchServer, startBenchServer } from "../server.ts";

/** Between events, ms: the run of the one before has ended by then. */
const everyMs = 80;
const goalMs = 25;

/** Signed events, a dozen a second: how soon a sender is answered that its event is on record. */
export async function hooks(bench: Bench): Promise<Section> {
  await using server = await startBenchServer(bench.upstreamUrl, bench.signal);
  const address = await makeTrigger(server);
  const count = bench.short ? 20 : 100;
  const warmUp = bench.short ? 5 : 20;
  const times: number[] = [];
  let accepted = 0;
  for (let at = -warmUp; at < count; at++) {
    const { status, ms } = await send(address, `event ${at + warmUp}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
    if (at < 0) continue;
    times.push(ms);
    accepted += status === 202 ? 1 : 0;
  }
  const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)];
  return {
    title: `Webhooks: ${count} signed events, one every ${everyMs} ms`,
    method: "From the request to the whole answer 202, by which the event and its job are in D1.",
    columns: ["weir"],
    rows: [
      { figure: "received to 202, p50", unit: "ms", values: [p50], goal: `< ${goalMs} ms`, ok: p50 < goalMs },
      { figure: "the same, p99", unit: "ms", values: [p99] },
      { figure: "answered 202", unit: "", values: [accepted], goal: `${count}`, ok: accepted === count },
    ],
  };
}

type Address = { url: string; key: Buffer };

async function makeTrigger({ url, doors }: BenchServer): Promise<Address> {
  const call = async (path: string, body: unknown) => {
    const headers = { ...doors.weir.headers, "content-type": "application/json" };
    const response = await fetch(`${url}/trpc/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(await response.text());
    return (await response.json()).result.data;
  };
  const messages = [{ role: "user", content: "{{text}}" }];
  await call("templates.create", { name: "hooked", content: { messages, model: "burst-3" } });
  const settings = { name: "bench", scheme: "standard", template: "hooked", variables: { text: "text" } };
  const { trigger, secret } = await call("triggers.create", settings);
  return { url: `${url}${trigger.path}`, key: Buffer.from(secret.replace("whsec_", ""), "base64") };
}

async function send({ url, key }: Address, text: string): Promise<{ status: number; ms: number }> {
  const body = JSON.stringify({ text, padding: "x".repeat(500) });
  const id = text.replace(" ", "_");
  const seconds = Math.floor(Date.now() / 1000);
  const signature = createHmac("sha256", key).update(`${id}.${seconds}.${body}`).digest("base64");
  const headers = {
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": `${seconds}`,
    "webhook-signature": `v1,${signature}`,
  };
  const fromMs = performance.now();
  const response = await fetch(url, { method: "POST", headers, body });
  await response.arrayBuffer();
  return { status: response.status, ms: performance.now() - fromMs };
}
