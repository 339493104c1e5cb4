import { and, eq } from "drizzle-orm";
import type { Price } from "../contract/models.ts";
import type { ProjectPrices } from "../core/models.ts";
import type { Database } from "./db.ts";
import { modelPrices } from "./usageSchema.ts";

/** Projects' own prices on D1: the storage ports of the model use cases. */
export function modelStore(db: Database) {
  return {
    async findPrices(projectId: string): Promise<ProjectPrices> {
      const rows = await db
        .select({
          model: modelPrices.model,
          inputMicrosPerMillion: modelPrices.inputMicrosPerMillion,
          outputMicrosPerMillion: modelPrices.outputMicrosPerMillion,
          currency: modelPrices.currency,
        })
        .from(modelPrices)
        .where(eq(modelPrices.projectId, projectId));
      return new Map(rows.map(({ model, ...price }) => [model, price]));
    },

    async savePrice(projectId: string, model: string, change: { price: Price | null; nowMs: number }): Promise<void> {
      if (!change.price) {
        await db.delete(modelPrices).where(and(eq(modelPrices.projectId, projectId), eq(modelPrices.model, model)));
        return;
      }
      const columns = { ...change.price, updatedAt: change.nowMs };
      await db
        .insert(modelPrices)
        .values({ projectId, model, ...columns })
        .onConflictDoUpdate({ target: [modelPrices.projectId, modelPrices.model], set: columns });
    },
  };
}
