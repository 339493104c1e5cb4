import { limits } from "../contract/limits.ts";

const encoder = new TextEncoder();

/** JSON texts as few JSON arrays, of `limits.maxBoundJsonBytes` where each text is shorter than that; none of none. */
export function jsonArrays(texts: readonly string[]): string[] {
  const groups: string[][] = [];
  let room = 0;
  for (const text of texts) {
    const bytes = encoder.encode(text).length + 1;
    room -= bytes;
    const last = groups.at(-1);
    if (last && room >= 0) last.push(text);
    else {
      groups.push([text]);
      room = limits.maxBoundJsonBytes - bytes;
    }
  }
  return groups.map((group) => `[${group.join()}]`);
}
