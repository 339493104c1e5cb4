import type { Delivery, DeliveryDetail, DeliveryIdInput, ListDeliveriesInput } from "../contract/deliveries.ts";
import type { Page } from "../contract/paging.ts";
import { cursorOf, pageOf, startOf } from "./cursor.ts";
import type { EndpointObjects, EndpointOwner, EndpointStore } from "./endpointPorts.ts";
import { missingEndpoint } from "./endpoints.ts";
import { AppError } from "./errors.ts";
import type { Principal } from "./principal.ts";

export type DeliveryPorts = Pick<EndpointStore, "findEndpoint"> & {
  endpointObjects: Pick<EndpointObjects, "listDeliveries" | "findDelivery" | "replay">;
};

/** The messages to an endpoint, as its object has them; those of an archived one are gone. */
export function deliveryUseCases(ports: DeliveryPorts) {
  const { endpointObjects: objects } = ports;

  async function ownerOf({ projectId }: Principal, endpointId: string): Promise<EndpointOwner> {
    const owner = { projectId, endpointId };
    if (!(await ports.findEndpoint(owner))) throw missingEndpoint();
    return owner;
  }

  return {
    /** Newest first; all, or those in one state or of one run. */
    async list(principal: Principal, input: ListDeliveriesInput): Promise<Page<Delivery>> {
      const owner = await ownerOf(principal, input.endpointId);
      const beforeId = startOf(input.cursor, "deliveries", /^dlv_[0-9a-z]{26}$/) ?? null;
      const { status, runId, limit } = input;
      const found = await objects.listDeliveries(owner, { status, runId, beforeId, limit: limit + 1 });
      return pageOf(found, limit, ({ id }) => cursorOf("deliveries", id));
    },

    /** One message with its body and every attempt. */
    async get(principal: Principal, { endpointId, id }: DeliveryIdInput): Promise<DeliveryDetail> {
      const found = await objects.findDelivery(await ownerOf(principal, endpointId), id);
      if (!found) throw missingDelivery();
      return found;
    },

    /** Sends a message once more, now and under the same id, with the whole schedule before it. */
    async replay(principal: Principal, { endpointId, id }: DeliveryIdInput): Promise<Delivery> {
      const replayed = await objects.replay(await ownerOf(principal, endpointId), id);
      if (replayed === "disabled")
        throw new AppError("conflict", "This endpoint is disabled: enable it first.", { param: "endpointId" });
      if (!replayed) throw missingDelivery();
      return replayed;
    },
  };
}

export type DeliveryUseCases = ReturnType<typeof deliveryUseCases>;

function missingDelivery(): AppError {
  return new AppError("not_found", "There is no such delivery.");
}
