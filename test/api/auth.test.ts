import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { presentedKey } from "../../src/api/auth.ts";
import { allowOrigin, isPreflight, preflight } from "../../src/api/cors.ts";
import type { Principal } from "../../src/core/principal.ts";
import { unlimited } from "../support/projects.ts";

const origin = "https://app.example.com";
const principal: Principal = {
  projectId: "prj_1",
  keyId: "key_1",
  kind: "publishable",
  scopes: ["completions:run"],
  origins: [origin],
  keepContents: true,
  limits: unlimited(),
};

describe("the presented key", () => {
  it("is what follows Bearer, in any case and with any blanks between", () => {
    for (const header of ["Bearer weir_sk_1", "bearer weir_sk_1", "BEARER  weir_sk_1", " Bearer \t weir_sk_1 "])
      expect(presentedKey(new Headers({ authorization: header }))).toBe("weir_sk_1");
  });

  it("is none when the header is absent or malformed", () => {
    expect(presentedKey(new Headers({ "x-api-key": "weir_sk_1" }))).toBeNull();
    for (const header of [
      "",
      "Bearer",
      "Bearer ",
      "weir_sk_1",
      "Basic d2Vpcg==",
      "Bearer a b",
      "Bearera",
      "Bearer a, Bearer b",
    ])
      expect(presentedKey(new Headers({ authorization: header }))).toBeNull();
    const twice = new Headers([
      ["authorization", "Bearer weir_sk_1"],
      ["authorization", "Bearer weir_sk_2"],
    ]);
    expect(presentedKey(twice)).toBeNull();
  });

  it("never throws and never holds a blank, whatever is sent", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[\x20-\x7e]*$/), (text) => {
        expect(presentedKey(new Headers({ authorization: `Bearer ${text}` })) ?? "").not.toMatch(/\s/);
      }),
    );
  });
});

const asking = (headers: Record<string, string>) =>
  new Request("https://weir.example.com/v1/chat/completions", { method: "OPTIONS", headers });

describe("a preflight", () => {
  it("is an OPTIONS request with an origin that asks for a method", () => {
    expect(isPreflight(asking({ origin, "access-control-request-method": "POST" }))).toBe(true);
    expect(isPreflight(asking({ origin }))).toBe(false);
    expect(isPreflight(asking({ "access-control-request-method": "POST" }))).toBe(false);
  });

  it("may come from any origin, and is granted the headers that clients send but no credentials", () => {
    const wanted = "authorization, Content-Type,x-stainless-os, trpc-accept, idempotency-key, last-event-id";
    const answer = preflight(asking({ origin, "access-control-request-headers": wanted }));
    expect(answer.status).toBe(204);
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
    expect(answer.headers.get("access-control-allow-methods")).toBe("GET, POST");
    expect(answer.headers.has("access-control-allow-credentials")).toBe(false);
    const granted = answer.headers.get("access-control-allow-headers")?.split(", ");
    for (const name of wanted.toLowerCase().split(/, ?/)) expect(granted).toContain(name);
  });

  it("is not granted other headers, nor text that is no header name", () => {
    const answer = preflight(asking({ origin, "access-control-request-headers": "cookie2, x-a b, x-, weird" }));
    expect(answer.headers.get("access-control-allow-headers")).not.toMatch(/cookie2|x-|weird/);
  });
});

describe("an answer", () => {
  const marked = (from: string | null, caller: Principal | null) => {
    const headers = new Headers({ vary: "Accept-Encoding" });
    allowOrigin(headers, from, caller);
    return headers;
  };

  it("may be read by a page of the key's own origin, with its run id", () => {
    const headers = marked(origin, principal);
    expect(headers.get("access-control-allow-origin")).toBe(origin);
    expect(headers.get("access-control-expose-headers")).toContain("x-weir-run-id");
    expect(headers.get("vary")).toBe("Accept-Encoding, Origin");
  });

  it("may be read by no other page", () => {
    const others = [marked("https://evil.example", principal), marked(origin, null), marked(null, principal)];
    others.push(marked(origin, { ...principal, kind: "secret", origins: [] }));
    for (const headers of others) {
      expect(headers.has("access-control-allow-origin")).toBe(false);
      expect(headers.get("vary")).toContain("Origin");
    }
  });
});
