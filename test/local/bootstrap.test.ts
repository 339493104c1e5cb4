import { expect, it } from "vitest";
import { inlined } from "../../src/local/firstProject.ts";
import { projectRoot } from "../../src/local/project.ts";
import { startServer } from "../../src/local/server.ts";
import { startCommand } from "./processes.ts";
import { newState } from "./state.ts";

/** Runs the command and returns the key it printed. */
async function bootstrap(env: Record<string, string>, args: string[] = []): Promise<string> {
  await using command = startCommand("node", ["src/local/bootstrap.ts", ...args], { env });
  expect(await command.ended, command.output()).toBe(0);
  expect(await command.alive()).toEqual([]);
  const keys = command.output().match(/weir_sk_\w+/g);
  expect(keys).toHaveLength(1);
  return keys?.[0] ?? "";
}

const templatesSeen = (url: string, key: string) =>
  fetch(`${url}/trpc/templates.list?input={}`, { headers: { authorization: `Bearer ${key}` } });

it("creates a project and a key that opens the server started on the same state", async () => {
  await using state = await newState();
  const key = await bootstrap(state.env, ["--project", "o'neil; DROP TABLE keys"]);
  await using server = await startServer({ stateDir: state.path });
  const answer = await templatesSeen(server.url, key);
  expect(answer.status).toBe(200);
  // Its project is not the server's own: the samples are not there.
  expect(JSON.parse(await answer.text()).result.data.items).toEqual([]);
  expect((await templatesSeen(server.url, key.slice(0, -1))).status).toBe(401);
});

it("adds a key to the project of the name it is given while the server runs", async () => {
  await using state = await newState();
  await using server = await startServer({ stateDir: state.path });
  const key = await bootstrap(state.env);
  const answer = await templatesSeen(server.url, key);
  expect(answer.status).toBe(200);
  expect(JSON.parse(await answer.text()).result.data.items).toHaveLength(4);
});

it("refuses an unknown option in a line that shows the use", async () => {
  await using command = startCommand("node", ["src/local/bootstrap.ts", "--projekt", "x"], { cwd: projectRoot });
  expect(await command.ended).toBe(1);
  expect(command.output()).toContain("--projekt");
  expect(command.output()).toContain("Usage: npm run bootstrap [-- --remote] [-- --project NAME]");
});

it("writes values as SQL literals that cannot end early", () => {
  expect(inlined({ sql: "SELECT ?, ?, ?", params: ["it's ? '); --", 7, null] })).toBe(
    "SELECT 'it''s ? ''); --', 7, NULL",
  );
  expect(() => inlined({ sql: "SELECT ?", params: ["a\0b"] })).toThrow("NUL");
});
