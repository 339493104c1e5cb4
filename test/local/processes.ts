import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { projectRoot } from "../../src/local/project.ts";

export interface Command extends AsyncDisposable {
  pid: number;
  /** All output so far, standard output and errors together. */
  output: () => string;
  /** Resolves once the output holds the text; rejects when the command ends without it. */
  says: (text: string) => Promise<void>;
  kill: (signal: NodeJS.Signals) => void;
  /** Resolves with the exit code, or the signal that ended it. */
  ended: Promise<number | NodeJS.Signals | null>;
  /** Ids of the processes it started, directly or not, that are alive: known by a mark in their environment. */
  alive: () => Promise<number[]>;
}

export type CommandOptions = { env?: Record<string, string>; cwd?: string };

let count = 0;

/** Starts a command as the leader of a process group. Disposing kills whatever is left of it. */
export function startCommand(
  command: string,
  args: string[],
  { env = {}, cwd = projectRoot }: CommandOptions = {},
): Command {
  const mark = `WEIR_TEST_COMMAND=${process.pid}-${++count}`;
  const [markName = "", markValue = ""] = mark.split("=");
  // npm's own variables would make the command believe that npm had started it.
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("npm_"));
  const child = spawn(command, args, {
    cwd,
    env: {
      ...Object.fromEntries(inherited),
      PATH: `${join(projectRoot, "node_modules/.bin")}:${process.env["PATH"]}`,
      ...env,
      [markName]: markValue,
    },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let closed = false;
  const waiting = new Set<() => void>();
  const look = () => {
    for (const check of waiting) check();
  };
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      look();
    });
  const ended = once(child, "close").then(([code, signal]) => {
    closed = true;
    look();
    return code ?? signal;
  });
  const says = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const check = () => {
        if (output.includes(text)) resolve();
        else if (closed) reject(new Error(`ended without saying ${JSON.stringify(text)}; it said:\n${output}`));
        else return;
        waiting.delete(check);
      };
      waiting.add(check);
      check();
    });
  const alive = () => processesWith(mark);
  return {
    pid: child.pid ?? 0,
    output: () => output,
    says,
    kill: (signal) => child.kill(signal),
    ended,
    alive,
    [Symbol.asyncDispose]: async () => {
      for (const pid of await alive()) {
        try {
          process.kill(pid, "SIGKILL");
        } catch {
          // It ended by itself meanwhile.
        }
      }
    },
  };
}

/** Every process whose environment holds the mark; a process that left its group or its parent is found too. */
async function processesWith(mark: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      try {
        return (await readFile(`/proc/${pid}/environ`, "utf8")).split("\0").includes(mark) ? [pid] : [];
      } catch {
        return [];
      }
    }),
  );
  return found.flat();
}
