import * as z from "zod";
import { StartError } from "./project.ts";

const Lacking = z.object({ missing: z.array(z.string()) });

/** Asks the running Worker whether it could serve; throws a StartError with a line for each thing that keeps it from it. */
export async function requireReady(url: string, signal: AbortSignal | undefined): Promise<void> {
  const answer = await fetch(`${url}/readyz`, { signal: signal ?? null });
  if (answer.ok) return;
  const { missing } = Lacking.parse(await answer.json());
  // The Worker joins what it finds wrong with its variables.
  throw new StartError(missing.flatMap((lack) => lack.split("; ")).join("\n"));
}
