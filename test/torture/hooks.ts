import { createHmac } from "node:crypto";
import type { EndpointWithSecret } from "../../src/contract/endpoints.ts";
import type { HookAnswer } from "../../src/contract/events.ts";
import type { TriggerWithSecret } from "../../src/contract/triggers.ts";
import { type Client, insist, Refused } from "./client.ts";
import type { HookPlan, Scheme } from "./hookPlan.ts";
import { schemes } from "./hookPlan.ts";
import { type Witness, witnessOf } from "./jobs.ts";
import type { Sink } from "./sink.ts";

/** What one event's sender has seen. */
export type HookWitness = {
  plan: HookPlan;
  /** Of its run. */
  witness: Witness;
  /** Every answer that said it was received. */
  answers: (HookAnswer & { httpStatus: number })[];
};

export type Triggers = Record<Scheme, { path: string; secret: string }>;

/** Events of this sender are told of to the receiver that is gone after a while. */
export const toGone: Scheme = "stripe";

/** A template, two endpoints and a trigger for each way of signing. */
export async function makeTriggers(client: Client, sinks: { steady: Sink; gone: Sink }): Promise<Triggers> {
  const messages = [{ role: "user", content: "{{tag}}" }];
  await client.call("templates.create", { name: "hooked", content: { messages, model: "torture" } });
  const endpointOf = async (sink: Sink) => {
    const made = await client.call<EndpointWithSecret>("endpoints.create", { url: sink.url });
    sink.secret = made.secret;
    return made.endpoint.id;
  };
  const [steady, gone] = [await endpointOf(sinks.steady), await endpointOf(sinks.gone)];
  const entries = await Promise.all(
    schemes.map(async (scheme) => {
      const made = await client.call<TriggerWithSecret>("triggers.create", {
        name: scheme,
        scheme,
        template: "hooked",
        variables: { tag: "tag" },
        callback: { endpointId: scheme === toGone ? gone : steady },
        ...(scheme === "hmac" && { hmac: { header: "x-signature" }, eventId: { header: "x-event" } }),
      });
      return [scheme, { path: made.trigger.path, secret: made.secret }] as const;
    }),
  );
  return Object.fromEntries(entries) as Triggers;
}

/** Plays an event's sender: it posts until it has been told `sends` times that it was received. */
export async function playHook(
  url: string,
  triggers: Triggers,
  { plan, signal }: { plan: HookPlan; signal: AbortSignal },
) {
  const hook: HookWitness = { plan, witness: witnessOf(plan.job), answers: [] };
  const { runIds, faults } = hook.witness;
  const trigger = triggers[plan.scheme];
  const post = async (secret: string) => {
    const { body, headers } = signed(plan, secret);
    return fetch(`${url}${trigger.path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body,
      signal: AbortSignal.any([signal, AbortSignal.timeout(30_000)]),
    });
  };
  const once = async () => {
    const response = await post(trigger.secret);
    const text = await response.text();
    if (!response.ok) throw new Refused(response.status, text);
    const answer = JSON.parse(text) as HookAnswer;
    hook.answers.push({ ...answer, httpStatus: response.status });
    if (answer.runId !== null) runIds.add(answer.runId);
  };
  const forge = async () => {
    const response = await post(`whsec_${Buffer.from("another secret, long enough").toString("base64")}`);
    if (response.status !== 401 && response.status < 500) faults.push(`forged, and answered ${response.status}`);
  };
  try {
    if (plan.forged) await forge().catch(() => {});
    if (plan.together) await Promise.all(Array.from({ length: plan.sends }, () => insist(signal, once)));
    else for (let sent = 0; sent < plan.sends; sent += 1) await insist(signal, once);
  } catch (thrown) {
    faults.push(`its sender failed: ${String(thrown)}`);
  }
  return hook;
}

/** As each sender signs, by Node's own HMAC. */
function signed({ job: { tag }, scheme }: HookPlan, secret: string): { body: string; headers: Record<string, string> } {
  const body = JSON.stringify({ id: `evt_${tag}`, tag, padding: "字".repeat(20) });
  const seconds = Math.floor(Date.now() / 1000);
  const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text);
  switch (scheme) {
    case "standard": {
      const key = Buffer.from(secret.replace("whsec_", ""), "base64");
      const signature = hmac(key, `${tag}.${seconds}.${body}`).digest("base64");
      const headers = { "webhook-id": tag, "webhook-timestamp": `${seconds}`, "webhook-signature": `v1,${signature}` };
      return { body, headers };
    }
    case "github":
      return {
        body,
        headers: { "x-github-delivery": tag, "x-hub-signature-256": `sha256=${hmac(secret, body).digest("hex")}` },
      };
    case "stripe":
      return {
        body,
        headers: { "stripe-signature": `t=${seconds},v1=${hmac(secret, `${seconds}.${body}`).digest("hex")}` },
      };
    case "hmac":
      return { body, headers: { "x-event": tag, "x-signature": hmac(secret, body).digest("hex") } };
  }
}
