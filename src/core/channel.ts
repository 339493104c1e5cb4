/** A pipe whose writes wait for the reader. */
export type Channel = { readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> };
