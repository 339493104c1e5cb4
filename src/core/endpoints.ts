import type { DeliveryAttempt } from "../contract/deliveries.ts";
import type {
  CreateEndpointInput,
  Endpoint,
  EndpointState,
  EndpointWithSecret,
  ListEndpointsInput,
  RotateEndpointSecretInput,
  TestEndpointInput,
  UpdateEndpointInput,
} from "../contract/endpoints.ts";
import { limits } from "../contract/limits.ts";
import type { Page } from "../contract/paging.ts";
import { checkedCallbackUrl } from "./callbackAddress.ts";
import { cursorOf, pageOf, startOf } from "./cursor.ts";
import { secretPlace } from "./deliverySending.ts";
import type { Disabled, EndpointObjects, EndpointOwner, EndpointStore, StoredEndpoint } from "./endpointPorts.ts";
import { AppError } from "./errors.ts";
import { newId } from "./ids.ts";
import type { Principal } from "./principal.ts";
import type { SecretBox } from "./secretBox.ts";
import { newStandardSecret } from "./standardWebhooks.ts";
import { sampleNotice } from "./webhookSamples.ts";

export type EndpointPorts = Omit<EndpointStore, "findListeners" | "showDisabled"> & {
  endpointObjects: Pick<EndpointObjects, "state" | "setEnabled" | "changed" | "sendSample" | "clear">;
  box: SecretBox;
  /** Whether endpoints on this machine may be called. */
  allowLoopback: boolean;
  /** Where this request has reached weir, a URL's `host`. */
  ownHost: string;
  /** Other hosts at which it is reached, as far as the configuration tells. */
  ownHosts: readonly string[];
  log: (event: string, fields: Record<string, unknown>) => void;
  /** Milliseconds since the epoch. */
  now: () => number;
};

/** Endpoints of the caller's project. Foreign and missing ids are both `not_found`. */
export function endpointUseCases(ports: EndpointPorts) {
  const { endpointObjects: objects, ownHost } = ports;
  const rules = { allowLoopback: ports.allowLoopback, ownHosts: [ownHost, ...ports.ownHosts] };
  const checked = (url: string) => checkedCallbackUrl(url, rules);

  async function findActive(owner: EndpointOwner): Promise<StoredEndpoint> {
    const stored = await ports.findEndpoint(owner);
    if (!stored) throw missingEndpoint();
    if (stored.endpoint.archived) throw archivedEndpoint();
    return stored;
  }

  /** A new secret, and as it is kept. */
  async function newSecret({ projectId, endpointId }: EndpointOwner) {
    const secret = newStandardSecret();
    return { secret, sealed: await ports.box.seal(secret, secretPlace(projectId, endpointId)) };
  }

  return {
    /** Its secret is shown this once. `conflict` when the project has `limits.maxEndpoints`. */
    async create({ projectId }: Principal, input: CreateEndpointInput): Promise<EndpointWithSecret> {
      const url = checked(input.url);
      const nowMs = ports.now();
      const id = newId("end", nowMs);
      const { secret, sealed } = await newSecret({ projectId, endpointId: id });
      const now = new Date(nowMs).toISOString();
      const endpoint: Endpoint = {
        id,
        url,
        description: input.description,
        events: input.events,
        status: "enabled",
        disabled: null,
        previousSecretUntil: null,
        createdAt: now,
        updatedAt: now,
        archived: false,
      };
      const stored = { projectId, endpoint, sealedSecret: sealed, sealedPrevious: null, ownHost };
      if (!(await ports.insertEndpoint(stored, limits.maxEndpoints)))
        throw new AppError("conflict", `A project has at most ${limits.maxEndpoints} endpoints: archive one first.`);
      return { endpoint, secret };
    },

    /** Newest first; active ones, or with `archived` the others. */
    async list({ projectId }: Principal, input: ListEndpointsInput): Promise<Page<Endpoint>> {
      const beforeId = startOf(input.cursor, "endpoints", /^end_[0-9a-z]{26}$/) ?? null;
      const { archived, limit } = input;
      const found = await ports.listEndpoints(projectId, { archived, beforeId, limit: limit + 1 });
      return pageOf(found, limit, ({ id }) => cursorOf("endpoints", id));
    },

    /** One endpoint with what is on its way to it. */
    async get({ projectId }: Principal, { id }: { id: string }): Promise<EndpointState> {
      const owner = { projectId, endpointId: id };
      const stored = await ports.findEndpoint(owner);
      if (!stored) throw missingEndpoint();
      if (stored.endpoint.archived) return { endpoint: stored.endpoint, pending: 0, dead: 0, failingSince: null };
      const { pending, dead, failingSinceMs, disabled } = await objects.state(owner);
      const failingSince = failingSinceMs === null ? null : new Date(failingSinceMs).toISOString();
      return { endpoint: asHeld(stored.endpoint, disabled), pending, dead, failingSince };
    },

    /** Holds from the next message on. An endpoint that is enabled again gets what has waited for it. */
    async update({ projectId }: Principal, input: UpdateEndpointInput): Promise<Endpoint> {
      const owner = { projectId, endpointId: input.id };
      const { endpoint } = await findActive(owner);
      const { description, events, enabled } = input;
      const url = input.url === undefined ? undefined : { href: checked(input.url), ownHost };
      const isChanged = url !== undefined || description !== undefined || events !== undefined;
      const updated = isChanged
        ? await ports.updateEndpoint(owner, {
            nowMs: ports.now(),
            ...(url && { url }),
            ...(description !== undefined && { description }),
            ...(events && { events }),
          })
        : endpoint;
      if (!updated) throw archivedEndpoint();
      if (isChanged) await objects.changed(owner, updated.url !== endpoint.url);
      return enabled === undefined ? updated : asHeld(updated, await objects.setEnabled(owner, enabled));
    },

    /** A new secret, shown this once; the old one signs too until the overlap is over, the one before no more. */
    async rotateSecret({ projectId }: Principal, input: RotateEndpointSecretInput): Promise<EndpointWithSecret> {
      const owner = { projectId, endpointId: input.id };
      const { sealedSecret } = await findActive(owner);
      const { secret, sealed } = await newSecret(owner);
      const nowMs = ports.now();
      const previousUntilMs = nowMs + input.overlapSeconds * 1000;
      const rotation = { from: sealedSecret ?? "", to: sealed, previousUntilMs, nowMs };
      const endpoint = await ports.rotateSecret(owner, rotation);
      if (!endpoint) throw new AppError("conflict", "This endpoint was changed at the same time: try again.");
      await objects.changed(owner, false);
      return { endpoint, secret };
    },

    /** Sends a sample now, once, and tells what came of it; it is in no list of deliveries. */
    async test({ projectId }: Principal, { id, event }: TestEndpointInput): Promise<DeliveryAttempt> {
      const owner = { projectId, endpointId: id };
      await findActive(owner);
      const attempt = await objects.sendSample(owner, sampleNotice(event, ports.now()));
      if (!attempt) throw archivedEndpoint();
      return attempt;
    },

    /** For good: its secrets and its messages are dropped. Again is a no-op. */
    async archive({ projectId }: Principal, { id }: { id: string }): Promise<Endpoint> {
      const owner = { projectId, endpointId: id };
      const archived = await ports.archiveEndpoint(owner, ports.now());
      if (!archived) throw missingEndpoint();
      // What is left there is dropped when it is to be sent.
      await objects.clear(owner).catch((cause: unknown) => ports.log("endpoint_not_cleared", { ...owner, cause }));
      return archived;
    },
  };
}

export type EndpointUseCases = ReturnType<typeof endpointUseCases>;

export function missingEndpoint(): AppError {
  return new AppError("not_found", "There is no such endpoint.");
}

function archivedEndpoint(): AppError {
  return new AppError("conflict", "This endpoint is archived: create a new one instead.");
}

/** With what the endpoint's object says; the record may not show it yet. */
function asHeld(endpoint: Endpoint, disabled: Disabled | null): Endpoint {
  return {
    ...endpoint,
    status: disabled ? "disabled" : "enabled",
    disabled: disabled && { reason: disabled.reason, at: new Date(disabled.atMs).toISOString() },
  };
}
