import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { secretPlace, sendNotice } from "../../src/core/deliverySending.ts";
import type { StoredEndpoint } from "../../src/core/endpointPorts.ts";
import { secretBox } from "../../src/core/secretBox.ts";
import { newStandardSecret, signStandard, verifyStandard } from "../../src/core/standardWebhooks.ts";

const box = secretBox(btoa("a key of thirty-two bytes, no mo"));
const nowMs = 1_700_000_000_500;
const message = { id: "dlv_1", body: '{"type":"run.succeeded"}' };

async function anEndpoint(secrets: string[], previousUntilMs: number | null = null): Promise<StoredEndpoint> {
  const [secret = null, previous = null] = await Promise.all(
    secrets.map((one) => box.seal(one, secretPlace("prj_1", "end_1"))),
  );
  const now = new Date(nowMs).toISOString();
  return {
    projectId: "prj_1",
    endpoint: {
      id: "end_1",
      url: "https://receiver.test/hook",
      description: "",
      events: [],
      status: "enabled",
      disabled: null,
      previousSecretUntil: previousUntilMs === null ? null : new Date(previousUntilMs).toISOString(),
      createdAt: now,
      updatedAt: now,
      archived: false,
    },
    sealedSecret: secret,
    sealedPrevious: previous,
    ownHost: "weir.example.com",
  };
}

type Sending = {
  stored?: StoredEndpoint;
  isHeld?: () => boolean;
  onStatus?: (status: number) => void;
};

async function send(post: (request: Request) => Promise<Response>, sending: Sending = {}) {
  const { stored = await anEndpoint([newStandardSecret()]), isHeld = () => false, onStatus = () => {} } = sending;
  const ports = { post, box, allowLoopback: false, ownHosts: [], now: () => nowMs, isHeld };
  return sendNotice(ports, stored, message, onStatus);
}

/** A request and what it carried. */
async function sent(stored: StoredEndpoint): Promise<{ request: Request; body: string }> {
  const requests: Request[] = [];
  await send(
    async (request) => {
      requests.push(request);
      return new Response(null, { status: 204 });
    },
    { stored },
  );
  const [request] = requests;
  if (!request) throw new Error("nothing was sent");
  return { request, body: await request.text() };
}

describe("a message on the wire", () => {
  it("bears its id, the time and a signature over its very bytes", async () => {
    const secret = newStandardSecret();
    const { request, body } = await sent(await anEndpoint([secret]));
    expect(request.method).toBe("POST");
    expect(request.redirect).toBe("manual");
    expect(body).toBe(message.body);
    expect(Object.fromEntries(request.headers)).toMatchObject({
      "content-type": "application/json",
      "user-agent": "weir-webhooks/1",
      "webhook-id": "dlv_1",
      "webhook-timestamp": "1700000000",
      "webhook-signature": await signStandard([secret], { ...message, timestamp: 1_700_000_000 }),
    });
  });

  it("is signed with both secrets while they overlap, and with the new one alone after that", async () => {
    const [now, before] = [newStandardSecret(), newStandardSecret()];
    const overlapping = (await sent(await anEndpoint([now, before], nowMs + 1))).request;
    const over = (await sent(await anEndpoint([now, before], nowMs))).request;
    const verified = (request: Request, secret: string) =>
      verifyStandard([secret], (name) => request.headers.get(name), message.body, nowMs / 1000);
    expect(await Promise.all([now, before].map((secret) => verified(overlapping, secret)))).toEqual([true, true]);
    expect(await Promise.all([now, before].map((secret) => verified(over, secret)))).toEqual([true, false]);
  });

  it("is not sent when it is held back at the last moment", async () => {
    const post = vi.fn();
    expect(await send(post, { isHeld: () => true })).toBeNull();
    expect(post).not.toHaveBeenCalled();
  });

  it("is not sent when the secret cannot be read", async () => {
    const post = vi.fn();
    const stored = { ...(await anEndpoint([newStandardSecret()])), projectId: "prj_2" };
    expect(await send(post, { stored })).toMatchObject({ attempt: { status: null, error: "secret_unreadable" } });
    expect(await send(post, { stored: await anEndpoint([]) })).toMatchObject({
      attempt: { error: "secret_unreadable" },
    });
    expect(post).not.toHaveBeenCalled();
  });
});

describe("an answer", () => {
  it.each([200, 201, 202, 204, 299])("%i is a success", async (status) => {
    const answer = async () => new Response(null, { status });
    expect(await send(answer)).toMatchObject({ attempt: { status, error: null } });
  });

  it.each([300, 302, 304, 400, 404, 410, 429, 500, 503])("%i is a failure", async (status) => {
    const answer = async () => new Response(null, { status });
    expect(await send(answer)).toMatchObject({ attempt: { status, error: "status" } });
  });

  it("that does not come is a failure of its own", async () => {
    const broken = async () => Promise.reject(new TypeError("connection reset"));
    expect(await send(broken)).toMatchObject({ attempt: { status: null, error: "unreachable", answer: null } });
  });

  it("that breaks off counts by its status", async () => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new TextEncoder().encode("begun"));
      },
      pull: (controller) => controller.error(new Error("connection reset")),
    });
    const told = await send(async () => new Response(body, { status: 200 }));
    expect(told).toMatchObject({ attempt: { status: 200, error: null } });
  });

  it("tells its status before its body has come", async () => {
    const order: string[] = [];
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          order.push("body");
          controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    await send(async () => new Response(body, { status: 410 }), { onStatus: (status) => order.push(String(status)) });
    expect(order).toEqual(["410", "body"]);
  });
});

describe("fault 29: a receiver that stalls", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
  afterEach(() => void vi.useRealTimers());

  it("has 15 s for its answer", async () => {
    let aborted = false;
    const posted = Promise.withResolvers<void>();
    const stalled = (request: Request) =>
      new Promise<Response>((_, reject) => {
        request.signal.addEventListener("abort", () => {
          aborted = true;
          reject(request.signal.reason);
        });
        posted.resolve();
      });
    const sending = send(stalled);
    await posted.promise;
    await vi.advanceTimersByTimeAsync(limits.deliveryTimeoutMs - 1);
    expect(aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await sending).toMatchObject({ attempt: { status: null, error: "timeout" } });
    expect(limits.deliveryTimeoutMs).toBe(15_000);
  });

  it.each([
    [200, null],
    [500, "status"],
  ])("after the status %i has answered, and its body is not waited for longer", async (status, error) => {
    const posted = Promise.withResolvers<void>();
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode("begun")),
      pull: () => new Promise(() => {}),
    });
    const sending = send(async () => {
      posted.resolve();
      return new Response(body, { status });
    });
    await posted.promise;
    await vi.advanceTimersByTimeAsync(limits.deliveryTimeoutMs);
    expect(await sending).toMatchObject({ attempt: { status, error, answer: "begun" } });
  });
});
