import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { LocalFile } from "../../src/local/state.ts";
import { sendStream, startUpstream } from "../support/upstream.ts";
import { temporaryFolder } from "./folder.ts";
import { startCommand } from "./processes.ts";
import { newState } from "./state.ts";

const ready = "Ctrl-C stops everything.";
const start = (env: Record<string, string>) => startCommand("node", ["src/local/start.mjs"], { env });

async function localFile(stateDir: string): Promise<LocalFile> {
  return LocalFile.parse(JSON.parse(await readFile(join(stateDir, "local.json"), "utf8")));
}

it("streams a first completion of a template on a fresh state folder, then shows how to go on, and serves", async () => {
  await using state = await temporaryFolder();
  await using command = start({ WEIR_STATE_DIR: state.path, PORT: "0" });
  await command.says(ready);

  const { url, secretKey, publishableKey } = await localFile(state.path);
  expect(command.output()).toContain("你好，weir！Hello, weir!");
  expect(command.output()).toMatch(
    /run_\w+, succeeded, \d+ \+ \d+ tokens, first token \d+ ms, .*cost 0\.000000 CNY, simulated/,
  );
  expect(command.output()).toContain(`curl ${url}/healthz`);
  expect(command.output()).toContain(`Authorization: Bearer ${secretKey}`);
  expect(command.output()).toContain(`baseURL: "${url}/v1"`);
  expect(command.output()).toContain(publishableKey);
  const { port } = new URL(url);
  expect(command.output()).toContain(`pages at http://localhost and http://127.0.0.1, ports 3000, 5173, 8787, ${port}`);
  expect(command.output()).toContain(state.path);
  expect((await stat(join(state.path, "local.json"))).mode & 0o777).toBe(0o600);

  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
});

it("prints commands that work when pasted", async () => {
  await using state = await newState();
  await using command = start(state.env);
  await command.says(ready);
  const curls = command
    .output()
    .replaceAll("\\\n", "")
    .split("\n")
    .filter((line) => line.trim().startsWith("curl"));
  expect(curls).toHaveLength(3);
  const answers: string[] = [];
  for (const curl of curls) {
    await using pasted = startCommand("sh", ["-c", `${curl} --silent --fail`]);
    expect(await pasted.ended).toBe(0);
    answers.push(pasted.output());
  }
  expect(answers[1]).toContain("data: [DONE]");
  expect(JSON.parse(answers[2] ?? "").choices[0].message.content).toBe("Hello!");
});

it("starts within 10 s on kept state and keeps its keys", async () => {
  await using state = await newState();
  await using first = start(state.env);
  await first.says(ready);
  const before = await localFile(state.path);
  first.kill("SIGTERM");
  await first.ended;

  const began = performance.now();
  await using second = start(state.env);
  await second.says(ready);
  const tookMs = performance.now() - began;
  console.log(`second start: ready after ${Math.round(tookMs)} ms`);
  expect(tookMs).toBeLessThan(10_000);
  const after = await localFile(state.path);
  expect([after.secretKey, after.publishableKey]).toEqual([before.secretKey, before.publishableKey]);
});

it.each(["lost", "broken"])("makes new keys when local.json is %s, for the same project", async (how) => {
  await using state = await newState();
  await using first = start(state.env);
  await first.says(ready);
  const before = await localFile(state.path);
  first.kill("SIGTERM");
  await first.ended;
  const file = join(state.path, "local.json");
  await (how === "lost" ? rm(file) : writeFile(file, "{"));

  await using second = start(state.env);
  if (how === "broken") await second.says("local.json cannot be read");
  await second.says(ready);
  const after = await localFile(state.path);
  expect(after.secretKey).not.toBe(before.secretKey);
  const list = await fetch(`${after.url}/trpc/templates.list?input={}`, {
    headers: { authorization: `Bearer ${after.secretKey}` },
  });
  const { result } = JSON.parse(await list.text());
  const names = result.data.items.map((item: { name: string }) => item.name).sort();
  expect(names).toEqual(["extract", "greeting", "style", "summarise"]);
});

it("asks a configured upstream for its first completion, with the reference model", async () => {
  await using upstream = await startUpstream(({ response }) => sendStream(response, ["Good ", "day."]));
  await using state = await newState();
  await using command = start({ ...state.env, UPSTREAM_BASE_URL: upstream.url, UPSTREAM_API_KEY: "k" });
  await command.says(ready);
  expect(command.output()).toContain("Good day.");
  expect(upstream.requests[0]?.json).toMatchObject({ model: "deepseek/deepseek-r1-distill-qwen-32b", stream: true });
  expect(upstream.requests[0]?.headers.authorization).toBe("Bearer k");
});

it("serves without the simulator when told so", async () => {
  await using upstream = await startUpstream(({ response }) => sendStream(response, ["Good day."]));
  await using state = await newState();
  await using command = start({ ...state.env, UPSTREAM_BASE_URL: upstream.url, SIMULATOR: "off" });
  await command.says(ready);
  const { url, secretKey } = await localFile(state.path);
  const ask = (model: string) =>
    fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${secretKey}`, "content-type": "application/json" },
      body: JSON.stringify({ model, stream: true, messages: [{ role: "user", content: "Hi" }] }),
    });
  expect(await (await ask("test-model")).text()).toContain("Good day.");
  expect((await ask("sim/echo")).status).toBe(404);
});

it("counts an empty variable as absent", async () => {
  await using state = await newState();
  const empty = { UPSTREAM_BASE_URL: "", UPSTREAM_API_KEY: "", UPSTREAM_IDLE_TIMEOUT_MS: "", SIMULATOR: "" };
  await using command = start({ ...state.env, ...empty });
  await command.says(ready);
  expect(command.output()).toContain("你好，weir！Hello, weir!");
});

it("says in one line that the first completion failed, and keeps serving", async () => {
  await using upstream = await startUpstream(({ response }) => {
    response.writeHead(401, { "content-type": "application/json" }).end('{"error":{"message":"no"}}');
  });
  await using state = await newState();
  await using command = start({ ...state.env, UPSTREAM_BASE_URL: upstream.url, UPSTREAM_API_KEY: "k" });
  // Two streams, two orders of arrival.
  await Promise.all([command.says(ready), command.says("It failed:")]);
  const failures = command
    .output()
    .split("\n")
    .filter((line) => line.includes("It failed:"));
  expect(failures).toHaveLength(1);
  expect(failures[0]).toContain("HTTP 502");
  const { url } = await localFile(state.path);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
});
