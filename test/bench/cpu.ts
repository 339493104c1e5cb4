import { readdir, readFile, writeFile } from "node:fs/promises";

/** Linux counts a process's time in hundredths of a second, whatever its own clock's rate (USER_HZ). */
const tickMs = 10;
const lookMs = 30;
/** Quiet is what stays so for this many looks; work past the limit is somebody else's. */
const quietLooks = 4;
const quietLimitMs = 3_000;

/** The workerd that this process started last. */
export async function workerdPid(): Promise<number> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const mine = await Promise.all(
    pids.map(async (pid) => {
      const stat = await statOf(pid).catch(() => null);
      return stat && stat.parent === process.pid && stat.command === "workerd" ? [pid] : [];
    }),
  );
  const pid = mine.flat().sort((a, b) => b - a)[0];
  if (pid === undefined) throw new Error("workerd is not running");
  return pid;
}

/** User and system time of a process so far, ms, by the operating system's accounting. */
export async function cpuMs(pid: number): Promise<number> {
  return (await statOf(pid)).cpuMs;
}

/** Resolves when the process has had nothing to do for a while: what follows an answer belongs to its cost. */
export async function quiet(pid: number): Promise<void> {
  let last = await cpuMs(pid);
  let same = 0;
  for (let waitedMs = 0; same < quietLooks && waitedMs < quietLimitMs; waitedMs += lookMs) {
    await new Promise((resolve) => setTimeout(resolve, lookMs));
    const now = await cpuMs(pid);
    same = now === last ? same + 1 : 0;
    last = now;
  }
}

/** Resident memory of a process, MiB: now, and the most since `forgetPeak`. */
export async function memoryMiB(pid: number): Promise<{ now: number; peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
  return { now: kib("VmRSS") / 1024, peak: kib("VmHWM") / 1024 };
}

/** Makes the present size the peak (proc(5), clear_refs). */
export async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, "5");
}

async function statOf(pid: number): Promise<{ command: string; parent: number; cpuMs: number }> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  // The command stands in parentheses and may hold anything.
  const command = text.slice(text.indexOf("(") + 1, text.lastIndexOf(")"));
  const [, parent, ...rest] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  // proc(5): fields 14 and 15, utime and stime; `rest` begins at field 5.
  return { command, parent: Number(parent), cpuMs: (Number(rest[9]) + Number(rest[10])) * tickMs };
}
