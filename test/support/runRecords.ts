import { newId } from "../../src/core/ids.ts";
import type { RecordedContents, RunOutcome, RunStart } from "../../src/core/runRecord.ts";

/** A run that begins, for tests of the run log. */
export function aStart(fields: Partial<RunStart> = {}): RunStart {
  const createdAtMs = fields.createdAtMs ?? Date.UTC(2026, 8, 1, 12);
  return {
    id: newId("run", createdAtMs),
    projectId: "prj_1",
    createdAtMs,
    source: "trpc",
    keyId: "key_1",
    stream: true,
    simulated: false,
    template: {
      id: "tpl_1",
      name: "support/refund",
      version: 3,
      versionId: "ver_1",
      label: "production",
      partials: [{ name: "tone", version: 2 }],
    },
    modelAsked: "large",
    metadata: { user: "u1", tier: "pro" },
    ...fields,
  };
}

export function anOutcome(fields: Partial<RunOutcome> = {}): RunOutcome {
  return {
    status: "succeeded",
    errorCode: null,
    errorMessage: null,
    finishReason: "stop",
    malformed: false,
    attempts: [{ model: "large", upstream: "main", startedMs: 1, endedMs: 900, status: 200, error: null }],
    modelAnswered: "large-2026",
    upstream: "main",
    usage: { promptTokens: 11, completionTokens: 22, reasoningTokens: 5 },
    usageSource: "upstream",
    cost: { micros: 1_234, currency: "CNY" },
    queueMs: null,
    headersMs: 120,
    firstTokenMs: 300,
    totalMs: 900,
    outputValid: null,
    ...fields,
  };
}

export function someContents(fields: Partial<RecordedContents> = {}): RecordedContents {
  return {
    messages: [
      { role: "system", content: "You refund politely." },
      { role: "user", content: "明天天气怎么样? Where is my parcel?" },
    ],
    request: { model: "large", temperature: 0.5 },
    variables: { order: "A-17" },
    content: "It is on its way.",
    reasoning: null,
    toolCalls: [],
    ...fields,
  };
}
