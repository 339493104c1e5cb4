import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { ErrorData } from "../../src/contract/errors.ts";
import { type Call, callWeir } from "../support/call.ts";
import { expectNextServed } from "../support/faults.ts";
import { insertTestProject } from "../support/projects.ts";

let secret: string;
beforeAll(async () => {
  ({ secret } = await insertTestProject());
});
afterEach(() => expectNextServed(secret));

/** tRPC's error with weir's part in it, and nothing that a stack trace would say. */
const Refusal = z.strictObject({
  error: z.strictObject({
    message: z.string().min(1),
    code: z.number(),
    data: z.strictObject({
      code: z.string(),
      httpStatus: z.number(),
      path: z.string().optional(),
      weir: ErrorData.extend({ requestId: z.string().startsWith("req_") }),
    }),
  }),
});

async function refusal(path: string, call: Call) {
  const templates = () => env.DB.prepare("SELECT count(*) n FROM templates").first<number>("n");
  const before = await templates();
  const { response, settled } = await callWeir(path, { secret, ...call });
  const body: unknown = await response.json();
  await settled();
  expect(await templates()).toBe(before);
  const { error } = Refusal.parse(Array.isArray(body) ? body[0] : body);
  expect(error.data.httpStatus).toBe(response.status);
  return { status: response.status, code: error.data.weir.code };
}

const name = encodeURIComponent(JSON.stringify({ name: "n", content: { text: "x" } }));
const form = (boundary: string) =>
  `--${boundary}\r\ncontent-disposition: form-data; name="name"\r\n\r\nn\r\n--${boundary}--\r\n`;

describe("fault 37: misuse of tRPC", () => {
  it.each<[string, string, Call, number, string]>([
    ["a batch of 1,000", `/trpc/${Array(1_000).fill("runs.list").join(",")}?batch=1`, {}, 400, "invalid_request"],
    [
      "a batch of 1,000 mutations",
      `/trpc/${Array(1_000).fill("templates.create").join(",")}?batch=1`,
      { body: {} },
      400,
      "invalid_request",
    ],
    [
      "a batch of 1,000 in escaped commas",
      `/trpc/${Array(1_000).fill("runs.list").join("%2C")}?batch=1`,
      {},
      400,
      "invalid_request",
    ],
    ["an unknown procedure", "/trpc/nothing.here", {}, 404, "not_found"],
    ["an unknown procedure in a batch", "/trpc/nothing.here?batch=1&input=%7B%7D", {}, 404, "not_found"],
    ["an inherited name", "/trpc/__proto__.toString", {}, 404, "not_found"],
    ["no procedure", "/trpc/", {}, 404, "not_found"],
    ["GET on a mutation", `/trpc/templates.create?input=${name}`, {}, 405, "method_not_allowed"],
    ["POST on a query", "/trpc/runs.list", { body: {} }, 405, "method_not_allowed"],
    ["DELETE", "/trpc/runs.list", { method: "DELETE" }, 405, "method_not_allowed"],
    [
      "a form-data body",
      "/trpc/templates.create",
      { body: form("x"), headers: { "content-type": "multipart/form-data; boundary=x" } },
      415,
      "unsupported_media_type",
    ],
    [
      "a form's body",
      "/trpc/templates.create",
      { body: "name=n", headers: { "content-type": "application/x-www-form-urlencoded" } },
      415,
      "unsupported_media_type",
    ],
    [
      "a body of bytes",
      "/trpc/templates.create",
      { body: "n", headers: { "content-type": "application/octet-stream" } },
      415,
      "unsupported_media_type",
    ],
  ])("%s is refused in the error's shape", async (_name, path, call, status, code) => {
    expect(await refusal(path, call)).toEqual({ status, code });
  });
});
