/** npm does not pass on every end of its own; looked at this often, ms. */
const parentCheckMs = 500;
/** What does not stop by itself is ended so much later, ms. */
const stopBoundMs = 10_000;

/** The stop of a long command: by a signal, by the end of the npm that started it, or after a time that it sets. */
export function commandStop(): { signal: AbortSignal; haltAfter: (ms: number, why: string) => void } {
  const stop = new AbortController();
  const halt = (why: string) => {
    if (stop.signal.aborted) return;
    stop.abort(new Error(why));
    setTimeout(() => process.exit(1), stopBoundMs).unref();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => halt("Stopped."));
  if (process.env["npm_lifecycle_event"]) {
    const parent = process.ppid;
    setInterval(() => process.ppid !== parent && halt("Stopped."), parentCheckMs).unref();
  }
  return { signal: stop.signal, haltAfter: (ms, why) => void setTimeout(() => halt(why), ms).unref() };
}
