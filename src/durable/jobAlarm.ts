/** The object's one alarm. Setting it costs a stored row, so it is left alone where it comes early enough anyway. */
export class JobAlarm {
  readonly #storage: DurableObjectStorage;
  /** As far as this instance of the object knows. */
  #atMs: number | null = null;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /** The alarm has gone off and is not set any more. */
  fired(): void {
    this.#atMs = null;
  }

  /** Goes off in `ms` at the latest. */
  within(ms: number): void {
    const atMs = Date.now() + ms;
    if (this.#atMs === null || this.#atMs > atMs) this.at(atMs);
  }

  /** Goes off then, and not before. */
  at(atMs: number): void {
    if (this.#atMs === atMs) return;
    this.#atMs = atMs;
    // Written with everything else of this turn; the runtime ends an object whose writes fail.
    void this.#storage.setAlarm(atMs);
  }
}
