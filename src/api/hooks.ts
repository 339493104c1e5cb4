import { type Context, Hono } from "hono";
import { limits } from "../contract/limits.ts";
import { readBytes } from "../core/boundedBody.ts";
import { AppError } from "../core/errors.ts";
import type { RequestContext } from "./context.ts";

/** Where other systems post to, mounted on /hooks: no key, but the signature that the trigger demands. */
export function hookDoor(contextOf: (c: Context) => RequestContext): Hono {
  const door = new Hono();

  door.post("/:id", async (c) => {
    const { useCases, signal } = contextOf(c);
    const { headers } = c.req.raw;
    const body = await readHook(c.req.raw);
    const header = (name: string) => headers.get(name);
    const reply = await useCases.hooks.receive({ triggerId: c.req.param("id"), header, body }, signal);
    if (reply.kind === "challenge") return c.json({ challenge: reply.challenge });
    const { answer, isNew } = reply;
    if (answer.runId !== null) c.header("x-weir-run-id", answer.runId);
    return c.json(answer, isNew && !answer.result ? 202 : 200);
  });

  door.all("/:id", (c) => {
    throw new AppError("method_not_allowed", `${c.req.method} is not allowed here: use POST.`, {
      details: { allow: "POST" },
    });
  });
  return door;
}

/** A body to the byte, of any type: `too_large` past `maxHookBytes`, however it is sent. */
async function readHook(request: Request): Promise<Uint8Array> {
  const bytes = await readBytes(request, limits.maxHookBytes).catch((cause: unknown) => {
    throw new AppError("invalid_request", "The body broke off.", { cause });
  });
  if (bytes && bytes.length <= limits.maxHookBytes) return bytes;
  throw new AppError("too_large", `The body is larger than ${limits.maxHookBytes} bytes.`);
}
