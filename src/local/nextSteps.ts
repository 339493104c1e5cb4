import { join } from "node:path";
import { localPorts } from "./origins.ts";
import type { LocalServer } from "./server.ts";

/** Commands to paste, with the real address and key. */
export function nextSteps({ url, secretKey, publishableKey, stateDir }: LocalServer, model: string): string {
  const post = (body: object) => `curl -N ${url}/v1/chat/completions \\
    -H "Authorization: Bearer ${secretKey}" -H "Content-Type: application/json" \\
    -d '${JSON.stringify(body)}'`;
  const prompt = { id: "greeting", variables: { name: "Ada" } };
  const messages = [{ role: "user", content: "Hello!" }];
  return `weir is running at ${url}

Health
  curl ${url}/healthz

A stored prompt, streamed
  ${post({ prompt, model, stream: true })}

A plain OpenAI call
  ${post({ model, messages })}

TypeScript, the openai package
  const openai = new OpenAI({ baseURL: "${url}/v1", apiKey: "${secretKey}" });
  await openai.chat.completions.create({ model: "${model}", messages: [{ role: "user", content: "Hello!" }] });

TypeScript, the typed client of @trpc/client
  const headers = { authorization: "Bearer ${secretKey}" };
  const weir = createTRPCClient<AppRouter>({ links: [httpLink({ url: "${url}/trpc", headers })] });
  await weir.completions.create.mutate({ template: "greeting", variables: { name: "Ada" }, model: "${model}" });

Keys for servers and for browsers are in ${join(stateDir, "local.json")}
  publishable key: ${publishableKey}
  it works in pages at http://localhost and http://127.0.0.1, ports ${localPorts(url).join(", ")}
All state lies in ${stateDir}: delete it to begin anew. Ctrl-C stops everything.
`;
}
