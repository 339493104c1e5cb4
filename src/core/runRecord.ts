import type { ChatMessage, JsonObject, Metadata } from "../contract/chat.ts";
import type { ErrorCode } from "../contract/errors.ts";
import type { Attempt, Cost, RunSource, SettledStatus, Usage, UsageSource } from "../contract/runs.ts";
import type { UsedPartial } from "../contract/templates.ts";

/** The template version a run used. */
export type RunTemplate = {
  id: string;
  name: string;
  version: number;
  versionId: string;
  label: string | null;
  partials: UsedPartial[];
};

/** What is known when a run begins. */
export type RunStart = {
  id: string;
  projectId: string;
  createdAtMs: number;
  source: RunSource;
  keyId: string;
  stream: boolean;
  simulated: boolean;
  template: RunTemplate | null;
  modelAsked: string;
  metadata: Metadata;
  /** The job that it repeats. */
  retryOf?: string;
  /** The batch that it was submitted with. */
  batchId?: string;
  /** Quotas it counts against besides the daily usage. */
  quotaIds?: readonly string[];
};

/** How a run ended. */
export type RunOutcome = {
  status: SettledStatus;
  errorCode: ErrorCode | null;
  errorMessage: string | null;
  finishReason: string | null;
  malformed: boolean;
  attempts: Attempt[];
  modelAnswered: string | null;
  upstream: string | null;
  usage: Usage | null;
  usageSource: UsageSource;
  cost: Cost | null;
  queueMs: number | null;
  headersMs: number | null;
  firstTokenMs: number | null;
  /** Null where nobody saw the end. */
  totalMs: number | null;
  outputValid: boolean | null;
};

/** Request and answer as they are kept; null when the project keeps no contents. */
export type RecordedContents = {
  messages: ChatMessage[];
  /** The upstream body without its messages. */
  request: JsonObject;
  variables: JsonObject | null;
  content: string | null;
  reasoning: string | null;
  toolCalls: JsonObject[];
  output?: unknown;
};

/** Writes the row of a run that begins. Idempotent. */
export type OpenRun = (start: RunStart, status: "queued" | "running") => Promise<void>;

/**
 * Writes a run's end in one batch: row, contents, daily usage, search index. The row is written whole, so that it
 * stands even if `OpenRun` failed. The first outcome wins: returns false, and changes nothing, when the run is settled.
 */
export type SettleRun = (start: RunStart, outcome: RunOutcome, contents: RecordedContents | null) => Promise<boolean>;
