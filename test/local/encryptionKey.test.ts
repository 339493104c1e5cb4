import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { localEncryptionKey } from "../../src/local/encryptionKey.ts";
import { projectRoot } from "../../src/local/project.ts";
import { startServer } from "../../src/local/server.ts";
import { sendStream, startUpstream } from "../support/upstream.ts";
import { temporaryFolder } from "./folder.ts";

it("is made once, by whoever comes first, and readable by its owner alone", async () => {
  await using state = await temporaryFolder();
  const keys = await Promise.all(Array.from({ length: 8 }, () => localEncryptionKey(state.path)));
  expect(new Set([...keys, await localEncryptionKey(state.path)]).size).toBe(1);
  expect(Buffer.from(keys[0] ?? "", "base64")).toHaveLength(32);
  expect((await stat(join(state.path, "encryption.key"))).mode & 0o777).toBe(0o600);
});

it("says which file holds no key, and leaves it", async () => {
  await using state = await temporaryFolder();
  const path = join(state.path, "encryption.key");
  await writeFile(path, "c2hvcnQ=\n");
  await expect(localEncryptionKey(state.path)).rejects.toThrow(path);
  expect(await readFile(path, "utf8")).toBe("c2hvcnQ=\n");
});

it("lets a project keep an upstream on this machine, its key included, across starts", async () => {
  await using upstream = await startUpstream(({ response }) => sendStream(response, ["Good ", "day."]));
  await using state = await temporaryFolder();
  const options = { stateDir: state.path, buildDir: join(projectRoot, ".weir", "build") };
  const post = async (server: { url: string; secretKey: string }, path: string, body: unknown) => {
    const headers = { authorization: `Bearer ${server.secretKey}`, "content-type": "application/json" };
    const answer = await fetch(server.url + path, { method: "POST", headers, body: JSON.stringify(body) });
    expect(answer.status).toBe(200);
    return answer.text();
  };
  {
    await using server = await startServer(options);
    const own = { name: "mine", baseUrl: upstream.url, apiKey: "sk-of-this-machine" };
    expect(await post(server, "/trpc/upstreams.create", own)).not.toContain(own.apiKey);
  }
  await using server = await startServer(options);
  const messages = [{ role: "user", content: "Hi" }];
  const text = await post(server, "/v1/chat/completions", { model: "mine/small", stream: true, messages });
  expect(text).toContain("data: [DONE]");
  expect(upstream.requests).toHaveLength(1);
  expect(upstream.requests[0]).toMatchObject({
    headers: { authorization: "Bearer sk-of-this-machine" },
    json: { model: "small" },
  });
});
