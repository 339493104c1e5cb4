import { limits } from "../contract/limits.ts";
import { readBytes } from "../core/boundedBody.ts";
import { AppError } from "../core/errors.ts";
import { parseJson } from "../core/jsonText.ts";

/** JSON as clients name it; absent and text/plain are taken too, as some clients set nothing better. */
const jsonType = /^(?:application\/(?:[\w.+-]*\+)?json|text\/plain)\s*(?:;|$)/i;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/**
 * A request's body as text: `unsupported_media_type` when it calls itself something other than JSON, `too_large` past
 * `maxBodyBytes` however it is sent, `invalid_request` when it breaks off or is not UTF-8.
 */
export async function readBodyText(request: Request): Promise<string> {
  const type = request.headers.get("content-type");
  if (type && !jsonType.test(type.trim()))
    throw new AppError("unsupported_media_type", "The body must be JSON: send content-type application/json.");
  // A client that left, or framing that is none, breaks it off.
  const bytes = await readBytes(request, limits.maxBodyBytes).catch((cause: unknown) => {
    throw new AppError("invalid_request", "The body broke off.", { cause });
  });
  if (!bytes) throw new AppError("too_large", `The body is larger than ${limits.maxBodyBytes} bytes.`);
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new AppError("invalid_request", "The body is not UTF-8.", { cause });
  }
}

/** The body as a JSON object. */
export async function readJsonObject(request: Request): Promise<Record<string, unknown>> {
  const value = parseJson(await readBodyText(request));
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new AppError("invalid_request", "The body must be a JSON object.");
  return value as Record<string, unknown>;
}
