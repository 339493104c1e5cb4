import type * as z from "zod";
import { limits } from "../contract/limits.ts";
import type { Model, ModelList, Price, SetPriceInput } from "../contract/models.ts";
import type { TimedCache } from "./cache.ts";
import { AppError } from "./errors.ts";
import type { Principal } from "./principal.ts";

/** A project's own prices by model id. */
export type ProjectPrices = ReadonlyMap<string, Price>;

export type ModelPorts = {
  /** The models that the configured upstreams are known to serve. */
  catalogue: () => readonly Model[];
  findPrices: (projectId: string) => Promise<ProjectPrices>;
  /** Null removes the price. */
  savePrice: (projectId: string, model: string, change: { price: Price | null; nowMs: number }) => Promise<void>;
  /** Lives as long as the isolate; its keys are project ids. */
  cache: TimedCache<ProjectPrices>;
  now: () => number;
};

/** Models and what they cost the caller's project. */
export function modelUseCases(ports: ModelPorts) {
  async function pricesOf(projectId: string): Promise<ProjectPrices> {
    const remembered = ports.cache.get(projectId);
    if (remembered) return remembered;
    const found = await ports.findPrices(projectId);
    ports.cache.set(projectId, found);
    return found;
  }

  const known = (id: string) => ports.catalogue().find((model) => model.id === id);

  return {
    /** The catalogue with the project's prices in place of its own, then the models that only have a price. */
    async list(principal: Principal): Promise<z.infer<typeof ModelList>> {
      const prices = await ports.findPrices(principal.projectId);
      const catalogue = ports.catalogue();
      const others = [...prices.keys()].filter((id) => !known(id)).sort();
      return {
        items: [...catalogue, ...others.map(unlisted)].map((model) => ({
          ...model,
          price: prices.get(model.id) ?? model.price,
        })),
      };
    },

    /**
     * Sets the project's own price of a model, in the catalogue or not (an upstream may serve more than is listed), or
     * with null takes it back. Holds for runs that settle from now on, in other isolates once their memory has aged.
     */
    async setPrice(principal: Principal, input: z.infer<typeof SetPriceInput>): Promise<Model> {
      const { projectId } = principal;
      const prices = await ports.findPrices(projectId);
      if (input.price && !prices.has(input.model) && prices.size >= limits.maxModelPrices)
        throw new AppError("conflict", `A project sets at most ${limits.maxModelPrices} prices: remove one first.`);
      await ports.savePrice(projectId, input.model, { price: input.price, nowMs: ports.now() });
      ports.cache.forget(projectId);
      const model = known(input.model) ?? unlisted(input.model);
      return { ...model, price: input.price ?? model.price };
    },

    /** What a run of this project pays for the model; null when unknown. Asks the store only when its memory has aged. */
    async priceOf(projectId: string, model: string): Promise<Price | null> {
      const prices = await pricesOf(projectId);
      return prices.get(model) ?? known(model)?.price ?? null;
    },
  };
}

export type ModelUseCases = ReturnType<typeof modelUseCases>;

/** A model of which nothing but its id is known. */
function unlisted(id: string): Model {
  return { id, name: id, upstream: "default", capabilities: [], contextTokens: null, price: null, simulated: false };
}
