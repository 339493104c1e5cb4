import { failureText, StartError } from "./project.ts";
import type { LocalServer } from "./server.ts";
import { chosenStateDir } from "./state.ts";

/** Variables of the Worker that a local start takes from its own environment. */
const passedOn = [
  "UPSTREAM_BASE_URL",
  "UPSTREAM_API_KEY",
  "UPSTREAM_HEADERS_TIMEOUT_MS",
  "UPSTREAM_FIRST_TOKEN_TIMEOUT_MS",
  "UPSTREAM_IDLE_TIMEOUT_MS",
  "UPSTREAM_TOTAL_TIMEOUT_MS",
  "FIRST_EVENT_HOLD_MS",
  "UPSTREAM_ATTEMPTS",
  "UPSTREAM_RETRY_PAUSE_MS",
  "UPSTREAM_CIRCUIT_FAILURES",
  "SIMULATOR",
  "ENCRYPTION_KEY",
  "ALLOW_LOOPBACK_UPSTREAMS",
  "WEBHOOKS_ALLOW_LOOPBACK",
  "OWN_HOSTS",
] as const;

/** The model that a configured upstream is tried with. */
const upstreamModel = "deepseek/deepseek-r1-distill-qwen-32b";
const defaultPort = 8787;
/** npm does not pass on every end of its own (a kill, a closed terminal); looked at this often, ms. */
const parentCheckMs = 500;

/** Stopping takes a moment; should it hang, the process ends after this, ms. */
const stopBoundMs = 10_000;

/** Aborts when the process is asked to end. */
function whenAsked(): AbortSignal {
  const asked = new AbortController();
  const stop = () => {
    // One Ctrl-C arrives twice, from the terminal and from npm: the second says nothing new.
    if (asked.signal.aborted) return;
    asked.abort();
    setTimeout(() => process.exit(1), stopBoundMs).unref();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop);
  // A closed terminal must not turn the last lines into a crash.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  if (process.env["npm_lifecycle_event"]) {
    const parent = process.ppid;
    setInterval(() => process.ppid !== parent && stop(), parentCheckMs).unref();
  }
  return asked.signal;
}

function chosenPort(): number {
  const text = process.env["PORT"] || String(defaultPort);
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new StartError(`PORT must be a number from 0 to 65535, not ${JSON.stringify(text)}.`);
  return port;
}

async function greet(server: LocalServer, model: string, signal: AbortSignal): Promise<void> {
  const { firstCompletion, runLine } = await import("./firstCompletion.ts");
  const write = (text: string) => void process.stdout.write(text);
  write("First completion, template greeting, streamed:\n\n  ");
  try {
    const run = await firstCompletion(server, { model, variables: { name: "weir" }, write, signal });
    write(`\n\n  ${runLine(run)}\n\n`);
  } catch (thrown) {
    write("\n");
    if (signal.aborted) return;
    console.error(`  It failed: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  }
}

async function main(signal: AbortSignal): Promise<void> {
  const port = chosenPort();
  const env: Record<string, string> = {};
  // An empty one counts as absent.
  for (const name of passedOn) if (process.env[name]) env[name] = process.env[name];
  const model = env["UPSTREAM_BASE_URL"] ? upstreamModel : "sim/echo";

  console.log("Starting weir …");
  // Loaded only now: a signal must find its handler in place before anything heavy begins.
  const [{ startServer }, { nextSteps }] = await Promise.all([import("./server.ts"), import("./nextSteps.ts")]);
  if (signal.aborted) return;
  await using server = await startServer({ port, stateDir: chosenStateDir(), env, log: console.error, signal });
  await greet(server, model, signal);
  if (signal.aborted) return;
  console.log(nextSteps(server, model));
  await new Promise<void>((resolve) => {
    // The timer keeps the process alive whatever else does.
    const alive = setInterval(() => {}, 60_000);
    signal.addEventListener("abort", () => resolve(clearInterval(alive)), { once: true });
  });
}

const asked = whenAsked();
try {
  await main(asked);
} catch (thrown) {
  if (!asked.aborted) {
    console.error(failureText(thrown));
    process.exit(1);
  }
}
console.log("Stopped.");
process.exit(0);
