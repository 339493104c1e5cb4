import { CompletionResult, CreateCompletionInput } from "../../contract/completions.ts";
import { procedure, router } from "./init.ts";

export const completionsRouter = router({
  /**
   * Runs a stored template (or given messages) and waits for the answer. A template or request whose response format
   * is a JSON schema gets the parsed, validated `output`, or `outputInvalid`. Errors: `not_found` (template, label,
   * model), `invalid_request` (variables, parameters), `upstream_error`, `upstream_timeout`, `rate_limited`.
   */
  create: procedure("completions:run")
    .input(CreateCompletionInput)
    .output(CompletionResult)
    .mutation(({ ctx, input }) => ctx.useCases.completions.create(ctx.principal, input)),
});
