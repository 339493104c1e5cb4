const lookMs = 20;

/** Looks until the condition holds; false when it does not within the bound. */
export async function until(signal: AbortSignal, boundMs: number, holds: () => Promise<boolean>): Promise<boolean> {
  const endMs = performance.now() + boundMs;
  while (!(await holds())) {
    signal.throwIfAborted();
    if (performance.now() > endMs) return false;
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
  return true;
}
