import { request } from "node:http";
import { expect, it } from "vitest";
import { sendEvent, startUpstream } from "../support/upstream.ts";

it("records requests and answers as scripted", async () => {
  await using upstream = await startUpstream(({ response }) => response.end("{}"));
  await fetch(`${upstream.url}/chat/completions?a=1`, { method: "POST", body: '{"model":"m"}' });
  expect(upstream.requests).toHaveLength(1);
  expect(upstream.requests[0]).toMatchObject({
    method: "POST",
    path: "/v1/chat/completions?a=1",
    json: { model: "m" },
  });
});

it("writes bytes past HTTP's rules", async () => {
  await using upstream = await startUpstream(({ socket }) => {
    socket.end("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
  });
  const answer = await fetch(upstream.url);
  await expect(answer.text()).rejects.toThrow("terminated");
});

it("reports a connection that the other side closed, and none that it closed itself", async () => {
  const closed: string[] = [];
  await using upstream = await startUpstream(({ request: { path }, response, closedByPeer }) => {
    closedByPeer.then(() => closed.push(path));
    sendEvent(response, "first");
    if (path.endsWith("/done")) response.end();
  });
  await (await fetch(`${upstream.url}/done`)).text();
  const left = request(`${upstream.url}/left`, (answer) => answer.once("data", () => left.destroy()));
  left.on("error", () => {}).end();
  await (await upstream.exchange(1)).closedByPeer;
  expect(closed).toEqual(["/v1/left"]);
});
