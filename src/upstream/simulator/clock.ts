/** Resolves after `ms`, at once for 0; rejects with the signal's reason when it aborts, leaving no timer behind. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (ms <= 0) return;
  await new Promise<void>((resolve, reject) => {
    const abandon = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abandon);
      resolve();
    }, ms);
    signal.addEventListener("abort", abandon, { once: true });
  });
}

const dayMs = 86_400_000;

/** Never resolves; rejects with the signal's reason. A pending timer shows the runtime that nothing hangs. */
export async function silence(signal: AbortSignal): Promise<never> {
  for (;;) await sleep(dayMs, signal);
}
