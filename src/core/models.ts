import type * as z from "zod";
import { limits } from "../contract/limits.ts";
import type { Model, ModelList, Price, SetPriceInput } from "../contract/models.ts";
import type { TimedCache } from "./cache.ts";
import { AppError } from "./errors.ts";
import { atDefault, type FindOwnUpstreams, type OwnUpstreams, ownerOf } from "./ownUpstreams.ts";
import type { Principal } from "./principal.ts";

/** A project's own prices by model id. */
export type ProjectPrices = ReadonlyMap<string, Price>;

export type ModelPorts = {
  /** The models that the configured upstreams are known to serve. */
  catalogue: () => readonly Model[];
  findPrices: (projectId: string) => Promise<ProjectPrices>;
  ownUpstreams: FindOwnUpstreams;
  /** Null removes the price. */
  savePrice: (projectId: string, model: string, change: { price: Price | null; nowMs: number }) => Promise<void>;
  /** Lives as long as the isolate; its keys are project ids. */
  cache: TimedCache<ProjectPrices>;
  now: () => number;
};

/** Models and what they cost the caller's project. */
export function modelUseCases(ports: ModelPorts) {
  const pricesOf = (projectId: string) => ports.cache.recall(projectId, () => ports.findPrices(projectId));

  /** A model as the catalogue knows it, where the project's own upstreams do not serve it. */
  function described(id: string, own: OwnUpstreams): Model {
    const name = atDefault(id);
    const known = ports.catalogue().find((model) => model.id === (name ?? id)) ?? unlisted(id);
    if (name !== null) return { ...known, id };
    const owner = ownerOf(own, id)?.upstream;
    // The catalogue's price is the default upstream's.
    return owner ? { ...known, upstream: owner.name, simulated: false, price: null } : known;
  }

  return {
    /** The catalogue, what the project's own upstreams map, then the models that only have a price; each at its price. */
    async list(principal: Principal): Promise<z.infer<typeof ModelList>> {
      const { projectId } = principal;
      const [prices, own] = await Promise.all([ports.findPrices(projectId), ports.ownUpstreams(projectId)]);
      const listed = [...ports.catalogue().map(({ id }) => id), ...mappedIds(own)];
      const ids = new Set([...listed, ...[...prices.keys()].sort()]);
      return { items: [...ids].map((id) => ({ ...described(id, own), ...pricedAt(prices.get(id)) })) };
    },

    /**
     * Sets the project's own price of a model, in the catalogue or not (an upstream may serve more than is listed), or
     * with null takes it back. Holds for runs that settle from now on, in other isolates once their memory has aged.
     */
    async setPrice(principal: Principal, input: z.infer<typeof SetPriceInput>): Promise<Model> {
      const { projectId } = principal;
      const [prices, own] = await Promise.all([ports.findPrices(projectId), ports.ownUpstreams(projectId)]);
      if (input.price && !prices.has(input.model) && prices.size >= limits.maxModelPrices)
        throw new AppError("conflict", `A project sets at most ${limits.maxModelPrices} prices: remove one first.`);
      await ports.savePrice(projectId, input.model, { price: input.price, nowMs: ports.now() });
      ports.cache.forget(projectId);
      return { ...described(input.model, own), ...pricedAt(input.price) };
    },

    /** What a run of this project pays for the model; null when unknown. Asks the store only when its memory has aged. */
    async priceOf(projectId: string, model: string): Promise<Price | null> {
      const [prices, own] = await Promise.all([pricesOf(projectId), ports.ownUpstreams(projectId)]);
      return prices.get(model) ?? described(model, own).price;
    },
  };
}

export type ModelUseCases = ReturnType<typeof modelUseCases>;

/** Mapped models by the name that reaches them: plain for the oldest upstream that has it, else with the upstream's. */
function mappedIds(own: OwnUpstreams): string[] {
  return own.flatMap((upstream) =>
    [...upstream.models.keys()].map((id) => (ownerOf(own, id)?.upstream === upstream ? id : `${upstream.name}/${id}`)),
  );
}

const pricedAt = (price: Price | null | undefined) => (price ? { price } : {});

/** A model of which nothing but its id is known. */
function unlisted(id: string): Model {
  return { id, name: id, upstream: "default", capabilities: [], contextTokens: null, price: null, simulated: false };
}
