import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { newStandardSecret, signStandard, standardFault, verifyStandard } from "../../src/core/standardWebhooks.ts";

const nowSeconds = Math.floor(Date.now() / 1000);
const secret = newStandardSecret();

function headersOf(id: string, timestamp: number | string, signature: string) {
  const headers = new Headers({
    "webhook-id": id,
    "webhook-timestamp": String(timestamp),
    "webhook-signature": signature,
  });
  return (name: string) => headers.get(name);
}

describe("Standard Webhooks", () => {
  it("agrees with the reference library, both ways, on 1,000 random bodies", async () => {
    const reference = new Webhook(secret);
    const bodies = fc.sample(fc.oneof(fc.json(), fc.string({ unit: "binary", maxLength: 200 }), fc.string()), 1_000);
    for (const [index, text] of bodies.entries()) {
      // Lone surrogates have no bytes of their own; what is sent is what encoding makes of them.
      const body = new TextDecoder().decode(new TextEncoder().encode(text));
      const id = `msg_${index}`;
      const theirs = reference.sign(id, new Date(nowSeconds * 1000), body);
      const ours = await signStandard([secret], { id, timestamp: nowSeconds, body });
      expect(ours).toBe(theirs);
      expect(await verifyStandard([secret], headersOf(id, nowSeconds, theirs), body, nowSeconds)).toBe(true);
      const headers = { "webhook-id": id, "webhook-timestamp": String(nowSeconds), "webhook-signature": ours };
      reference.verify(body, headers, { jsonParse: false });
    }
  }, 60_000);

  it("signs the bytes of a body that is no text", async () => {
    const body = Uint8Array.from([0xff, 0xfe, 0x00, 0x80]);
    const signature = await signStandard([secret], { id: "msg_1", timestamp: nowSeconds, body });
    const header = headersOf("msg_1", nowSeconds, signature);
    expect(await verifyStandard([secret], header, body, nowSeconds)).toBe(true);
    expect(await verifyStandard([secret], header, new TextDecoder().decode(body), nowSeconds)).toBe(false);
  });

  it("signs with both secrets of a rotation, and takes either of them", async () => {
    const other = newStandardSecret();
    const signature = await signStandard([secret, other], { id: "msg_1", timestamp: nowSeconds, body: "{}" });
    expect(signature).toMatch(/^v1,[\w+/]{43}= v1,[\w+/]{43}=$/);
    const header = headersOf("msg_1", nowSeconds, signature);
    for (const one of [secret, other]) expect(await verifyStandard([one], header, "{}", nowSeconds)).toBe(true);
    const old = headersOf("msg_1", nowSeconds, signature.split(" ")[0] ?? "");
    expect(await verifyStandard([other, secret], old, "{}", nowSeconds)).toBe(true);
    expect(await verifyStandard([newStandardSecret()], header, "{}", nowSeconds)).toBe(false);
  });

  it("finds the right one among other signatures, and takes none of another version", async () => {
    const right = await signStandard([secret], { id: "msg_1", timestamp: nowSeconds, body: "{}" });
    const bare = right.slice("v1,".length);
    const verdict = (signature: string) =>
      standardFault([secret], headersOf("msg_1", nowSeconds, signature), "{}", nowSeconds);
    expect(await verdict(`v1,AAAA v1a,${bare} ${right}`)).toBeNull();
    for (const wrong of [
      `v1a,${bare}`,
      `v2,${bare}`,
      bare,
      `V1,${bare}`,
      `v1,${bare},`,
      `v1,${bare.slice(0, -1)}`,
      "v1,",
    ])
      expect(await verdict(wrong)).toBe("no_match");
  });

  it.each([
    ["300 s ago", -300, null],
    ["301 s ago", -301, "timestamp_out_of_tolerance"],
    ["in 300 s", 300, null],
    ["in 301 s", 301, "timestamp_out_of_tolerance"],
  ])("takes a timestamp up to 300 s away: %s", async (_, offset, fault) => {
    const timestamp = nowSeconds + offset;
    const signature = await signStandard([secret], { id: "msg_1", timestamp, body: "{}" });
    expect(await standardFault([secret], headersOf("msg_1", timestamp, signature), "{}", nowSeconds)).toBe(fault);
  });

  it.each(["123abc", "1e9", " 1", "+1", "-1", "0x10", "1.0", "01", "NaN", "9".repeat(16)])(
    "refuses the timestamp %j, however it is signed",
    async (timestamp) => {
      const [, signature = ""] = (await new Webhook(secret).sign("msg_1", new Date(nowSeconds * 1000), "{}")).split(
        ",",
      );
      const header = (name: string) =>
        ({ "webhook-id": "msg_1", "webhook-timestamp": timestamp, "webhook-signature": `v1,${signature}` })[name];
      expect(await standardFault([secret], header, "{}", nowSeconds)).toBe("timestamp_malformed");
    },
  );

  it.each(["webhook-id", "webhook-timestamp", "webhook-signature"])("refuses a message without %s", async (missing) => {
    const signature = await signStandard([secret], { id: "msg_1", timestamp: nowSeconds, body: "{}" });
    const header = headersOf("msg_1", nowSeconds, signature);
    const fault = await standardFault([secret], (name) => (name === missing ? null : header(name)), "{}", nowSeconds);
    expect(fault).toBe("header_missing");
  });

  it("refuses an id with a full stop, which would move what is signed from the body into it", async () => {
    const body = `${nowSeconds}.rest`;
    const signature = await signStandard([secret], { id: "msg_1", timestamp: nowSeconds, body });
    expect(await verifyStandard([secret], headersOf("msg_1", nowSeconds, signature), body, nowSeconds)).toBe(true);
    const moved = headersOf(`msg_1.${nowSeconds}`, nowSeconds, signature);
    expect(await standardFault([secret], moved, "rest", nowSeconds)).toBe("id_malformed");
  });

  it("refuses a message of which one byte, the id or the timestamp is another", async () => {
    const signature = await signStandard([secret], { id: "msg_1", timestamp: nowSeconds, body: '{"a":1}' });
    const ok = (id: string, timestamp: number, body: string) =>
      verifyStandard([secret], headersOf(id, timestamp, signature), body, nowSeconds);
    expect(await ok("msg_1", nowSeconds, '{"a":1}')).toBe(true);
    expect(await ok("msg_1", nowSeconds, '{"a":2}')).toBe(false);
    expect(await ok("msg_2", nowSeconds, '{"a":1}')).toBe(false);
    expect(await ok("msg_1", nowSeconds + 1, '{"a":1}')).toBe(false);
  });

  it("throws for a secret that is none", async () => {
    for (const none of ["", "whsec_", "secret", "whsec_***"])
      await expect(signStandard([none], { id: "msg_1", timestamp: 1, body: "" })).rejects.toThrow("whsec_");
  });
});
