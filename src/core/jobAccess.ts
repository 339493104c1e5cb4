import { AppError } from "./errors.ts";
import type { JobReader } from "./jobPorts.ts";
import type { Principal } from "./principal.ts";

/** Whose jobs the caller may see: a publishable key, which is in everybody's browser, those of its own. */
export function readerOf(principal: Principal): JobReader {
  const { projectId, keyId, kind } = principal;
  return { projectId, keyId: kind === "publishable" ? keyId : null };
}

/** The refusal of a run that is not there, or not the caller's to see. */
export function noJob(runId: string): AppError {
  return new AppError("not_found", `There is no run ${runId}.`, { param: "runId" });
}
