/**
 * The bytes of a message's body, or null when it has more than `maxBytes`; what is too long is not kept. Rejects when
 * the body breaks off. A body that tells its length is taken in one step, which costs a third of reading it in parts.
 */
export async function readBytes(message: Request | Response, maxBytes: number): Promise<Uint8Array | null> {
  const { headers, body } = message;
  if (!body) return new Uint8Array(0);
  const length = headers.get("content-length");
  if (length !== null && Number(length) > maxBytes) {
    await body.cancel().catch(() => {});
    return null;
  }
  // What is encoded is longer than it tells.
  if (length !== null && !headers.has("content-encoding")) return new Uint8Array(await message.arrayBuffer());
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.length;
    if (bytes > maxBytes) return null;
    parts.push(part);
  }
  return concatBytes(parts);
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1 && parts[0]) return parts[0];
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
