import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** What a process of the bench offers to the one that steers it. */
type Methods = Record<string, (input: never) => unknown>;
type Call = { id: number; name: string; input: unknown };
type Reply = { id: number; result?: unknown; error?: string };

export interface Child<Api> extends Disposable {
  call: <Name extends keyof Api>(
    name: Name,
    ...input: Api[Name] extends (...input: infer Input) => unknown ? Input : never
  ) => Promise<Api[Name] extends (...input: never) => infer Result ? Awaited<Result> : never>;
}

/**
 * Starts a file of this folder as a process of its own, so that its work is not counted as the runtime's and does not
 * wait for it. A call rejects when the process ends or the signal aborts; disposing kills it.
 */
export function startChild<Api extends Methods>(file: string, signal: AbortSignal): Child<Api> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), { serialization: "advanced", execArgv: [] });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let calls = 0;
  const end = (why: Error) => {
    for (const { reject } of waiting.values()) reject(why);
    waiting.clear();
  };
  child.on("message", ({ id, result, error }: Reply) => {
    const call = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(`${file}: ${error}`));
  });
  child.on("exit", (code, by) => end(new Error(`${file} ended early (${code ?? by})`)));
  const aborted = () => end(signal.reason);
  signal.addEventListener("abort", aborted, { once: true });
  return {
    call: (name, ...[input]) => {
      signal.throwIfAborted();
      const call = Promise.withResolvers<unknown>();
      waiting.set(++calls, call);
      child.send({ id: calls, name: String(name), input } satisfies Call);
      return call.promise as never;
    },
    [Symbol.dispose]: () => {
      signal.removeEventListener("abort", aborted);
      stop(child);
    },
  };
}

function stop(child: ChildProcess): void {
  child.removeAllListeners("exit");
  child.kill("SIGKILL");
}

/** The other end: answers calls until the steering process lets go, however it ends. */
export function serveCalls(api: Methods): void {
  // A Ctrl-C reaches the whole group; the steering process decides about the end.
  process.on("SIGINT", () => {});
  process.on("disconnect", () => process.exit(0));
  process.on("message", async ({ id, name, input }: Call) => {
    try {
      process.send?.({ id, result: await api[name]?.(input as never) } satisfies Reply);
    } catch (thrown) {
      process.send?.({ id, error: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) });
    }
  });
}

/** Milliseconds of a clock that all processes of this machine share. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
