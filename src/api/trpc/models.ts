import { Model, ModelList, SetPriceInput } from "../../contract/models.ts";
import { procedure, router } from "./init.ts";

export const modelsRouter = router({
  /** All models with the project's prices. Whoever reads templates picks models for them, hence that scope. */
  list: procedure("templates:read")
    .output(ModelList)
    .query(({ ctx }) => ctx.useCases.models.list(ctx.principal)),

  /** Sets the project's own price of a model, or with null goes back to the catalogue's. */
  setPrice: procedure("upstreams:manage")
    .input(SetPriceInput)
    .output(Model)
    .mutation(({ ctx, input }) => ctx.useCases.models.setPrice(ctx.principal, input)),
});
