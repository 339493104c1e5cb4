import { spawn } from "node:child_process";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { projectRoot, StartError } from "./project.ts";

export type WranglerOptions = {
  /** Where the command runs; wrangler finds wrangler.toml there. */
  cwd?: string;
  /** Show the output and let it ask questions, instead of collecting it. */
  interactive?: boolean;
  signal?: AbortSignal | undefined;
};

/** Runs wrangler with arguments; resolves with its standard output, throws a StartError when it fails. */
export type RunWrangler = (args: string[], options?: WranglerOptions) => Promise<string>;

/** No usage data, no log files in the home folder, no look at the registry for a newer version. */
const quiet = {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_SEND_ERROR_REPORTS: "false",
  WRANGLER_WRITE_LOGS: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_NO_SKILLS_UPDATE_PROMPTS: "true",
};

/** A child process of this one: it ends before the promise settles, also when `signal` aborts. */
export const runWrangler: RunWrangler = (args, { cwd = projectRoot, interactive = false, signal } = {}) => {
  signal?.throwIfAborted();
  // The command line's own wrapper would put one more process between us and what must be stopped.
  const cli = join(projectRoot, "node_modules/wrangler/wrangler-dist/cli.js");
  const child = spawn(process.execPath, ["--no-warnings", cli, ...args], {
    cwd,
    env: { ...process.env, ...quiet, ...(!interactive && { NO_COLOR: "1", FORCE_COLOR: "0" }) },
    stdio: interactive ? "inherit" : ["ignore", "pipe", "pipe"],
  });
  const output: string[] = [];
  const errors: string[] = [];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => output.push(text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => errors.push(text));

  const stop = () => child.kill("SIGKILL");
  signal?.addEventListener("abort", stop, { once: true });
  return new Promise<string>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      signal?.removeEventListener("abort", stop);
      if (signal?.aborted) return reject(signal.reason);
      if (code === 0) return resolve(output.join(""));
      const said = interactive ? "" : `\n${stripVTControlCharacters([...errors, ...output].join("").trim())}`;
      reject(new StartError(`wrangler ${args.slice(0, 3).join(" ")} failed.${said}`));
    });
  });
};
