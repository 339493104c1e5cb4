import type { Principal } from "../../core/principal.ts";
import type { UseCases } from "../../core/useCases.ts";

/** What a procedure sees. A named interface of its own, so that `AppRouter` drags in no storage and no platform types. */
export interface TrpcContext {
  requestId: string;
  /** The caller, authenticated once per request however many calls are batched; throws `unauthenticated`. */
  authenticate: () => Promise<Principal>;
  useCases: UseCases;
  /** Aborts when the client leaves. */
  signal: AbortSignal;
}
