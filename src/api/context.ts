import { type Authenticate, authenticate } from "../core/auth.ts";
import type { AppError } from "../core/errors.ts";
import type { Principal } from "../core/principal.ts";
import type { UseCases } from "../core/useCases.ts";
import { type Env, settingsOf } from "../env.ts";
import { logFailure } from "../log.ts";
import { database } from "../store/db.ts";
import { keyStore } from "../store/keys.ts";
import { presentedKey } from "./auth.ts";
import { caches } from "./isolate.ts";
import { bindUseCases } from "./useCases.ts";

/** One request's view of weir; doors take what they need from here and know nothing of storage. */
export type RequestContext = {
  requestId: string;
  /** The caller; looked up once, however often it is asked for. */
  authenticate: () => Promise<Principal>;
  /** The caller if `authenticate` has succeeded. */
  principal: () => Principal | null;
  useCases: UseCases;
  /** Aborts when the client is known to have left. */
  signal: AbortSignal;
  /** Logs what is our fault; what is the caller's is told to the caller. */
  logError: (error: AppError) => void;
};

/** What an error's answer needs of its request. */
export type Told = Pick<RequestContext, "requestId" | "logError">;

type Invocation = { env: Env; requestId: string; waitUntil: (work: Promise<unknown>) => void };

export function requestContext(request: Request, { env, requestId, waitUntil }: Invocation): RequestContext {
  const settings = settingsOf(env);
  const keys = keyStore(database(env.DB));
  const check: Authenticate = authenticate({ findKnownKey: keys.findKnownKey, cache: caches.keys, now: Date.now });
  let principal: Principal | null = null;
  let checking: Promise<Principal> | null = null;
  return {
    requestId,
    authenticate() {
      checking ??= check(presentedKey(request.headers), request.headers.get("origin")).then((known) => {
        principal = known;
        return known;
      });
      return checking;
    },
    principal: () => principal,
    useCases: bindUseCases(env, settings, { waitUntil, ownHost: new URL(request.url).host }),
    signal: request.signal,
    logError: (error) => logFailure(error, requestId),
  };
}
