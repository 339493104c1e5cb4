import { type ChildProcess, spawn } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { basename } from "node:path";

/** Reads one line and ends; when there is none because the writer is gone, it kills the process it was given first. */
const script = `trap '' INT TERM HUP; read -r line || kill -9 "$0"`;

let watching = false;
const ending = new Set<Promise<void>>();

/**
 * Sees to it that each workerd which this process starts from now on ends with it even when it is killed outright: no
 * code of ours runs then, and workerd takes no notice. A waiting shell does, whose input closes at that moment.
 */
export function guardWorkerd(): void {
  // There, children end with their parent anyway.
  if (watching || process.platform === "win32") return;
  watching = true;
  subscribe("child_process", (message) => {
    const { process: child } = message as { process: ChildProcess };
    // Its name and id are known only once it runs.
    child.once("spawn", () => {
      if (basename(child.spawnfile).startsWith("workerd")) guard(child);
    });
  });
}

/** Resolves when every workerd that has ended has no guard any more. */
export async function guardsEnded(): Promise<void> {
  await Promise.all(ending);
}

function guard(child: ChildProcess): void {
  const shell = spawn("sh", ["-c", script, String(child.pid)], { stdio: ["pipe", "ignore", "ignore"] });
  const ended = new Promise<void>((resolve) => {
    shell.once("close", () => resolve());
    // Without a shell workerd goes unguarded; all orderly ends still take it along.
    shell.once("error", () => resolve());
  });
  shell.stdin.on("error", () => {});
  shell.unref();
  child.once("exit", () => {
    ending.add(ended);
    ended.then(() => ending.delete(ended));
    shell.ref();
    shell.stdin.end("\n");
  });
}
