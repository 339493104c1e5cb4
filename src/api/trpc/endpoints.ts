import {
  Delivery,
  DeliveryAttempt,
  DeliveryDetail,
  DeliveryIdInput,
  DeliveryPage,
  ListDeliveriesInput,
} from "../../contract/deliveries.ts";
import {
  CreateEndpointInput,
  Endpoint,
  EndpointIdInput,
  EndpointPage,
  EndpointState,
  EndpointWithSecret,
  ListEndpointsInput,
  RotateEndpointSecretInput,
  TestEndpointInput,
  UpdateEndpointInput,
} from "../../contract/endpoints.ts";
import { procedure, router } from "./init.ts";

const managed = procedure("webhooks:manage");

/** Messages to an endpoint with all attempts to deliver them, kept for 30 days. */
const deliveriesRouter = router({
  /** A page of an endpoint's messages, newest first; by state or by run where one is given. */
  list: managed
    .input(ListDeliveriesInput)
    .output(DeliveryPage)
    .query(({ ctx, input }) => ctx.useCases.deliveries.list(ctx.principal, input)),

  /** One message with its body and every attempt. */
  get: managed
    .input(DeliveryIdInput)
    .output(DeliveryDetail)
    .query(({ ctx, input }) => ctx.useCases.deliveries.get(ctx.principal, input)),

  /** Sends a message once more, whatever became of it. `conflict` while the endpoint is disabled. */
  replay: managed
    .input(DeliveryIdInput)
    .output(Delivery)
    .mutation(({ ctx, input }) => ctx.useCases.deliveries.replay(ctx.principal, input)),
});

export const endpointsRouter = router({
  /**
   * An address that gets signed messages when jobs end (runs relayed to their callers are none). The answer holds its
   * secret, which is never shown again. `invalid_request` (param `url`) for what is not https on a public name.
   */
  create: managed
    .input(CreateEndpointInput)
    .output(EndpointWithSecret)
    .mutation(({ ctx, input }) => ctx.useCases.endpoints.create(ctx.principal, input)),

  /** Newest first: active ones, or with `archived` the others; `disabled` says why nothing is sent to one. */
  list: managed
    .input(ListEndpointsInput)
    .output(EndpointPage)
    .query(({ ctx, input }) => ctx.useCases.endpoints.list(ctx.principal, input)),

  /** One endpoint, what waits for it, and since when every attempt has failed. */
  get: managed
    .input(EndpointIdInput)
    .output(EndpointState)
    .query(({ ctx, input }) => ctx.useCases.endpoints.get(ctx.principal, input)),

  /** Changes what is given. `enabled` holds messages back, or goes on with those that have waited. */
  update: managed
    .input(UpdateEndpointInput)
    .output(Endpoint)
    .mutation(({ ctx, input }) => ctx.useCases.endpoints.update(ctx.principal, input)),

  /** A new secret; messages are signed with the old one as well until the overlap is over (a day). */
  rotateSecret: managed
    .input(RotateEndpointSecretInput)
    .output(EndpointWithSecret)
    .mutation(({ ctx, input }) => ctx.useCases.endpoints.rotateSecret(ctx.principal, input)),

  /** Sends a signed sample at once and answers with what came of it, also for a disabled endpoint. */
  test: managed
    .input(TestEndpointInput)
    .output(DeliveryAttempt)
    .mutation(({ ctx, input }) => ctx.useCases.endpoints.test(ctx.principal, input)),

  /** Ends an endpoint for good and drops its secrets and messages. */
  archive: managed
    .input(EndpointIdInput)
    .output(Endpoint)
    .mutation(({ ctx, input }) => ctx.useCases.endpoints.archive(ctx.principal, input)),

  deliveries: deliveriesRouter,
});
