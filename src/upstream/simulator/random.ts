/** Repeatable choices: the same seed text gives the same sequence, on any machine. */
export type Random = {
  /** A fraction, 0 ≤ x < 1. */
  unit(): number;
  /** A whole number, both ends included. */
  int(low: number, high: number): number;
  /** One of the items; an empty list is a `RangeError`. */
  pick<Item>(items: readonly Item[]): Item;
  /** That many hexadecimal digits. */
  hex(digits: number): string;
};

/** 16 hexadecimal digits that tell two texts apart. Not a cryptographic digest: nothing here is secret. */
export function fingerprint(text: string): string {
  return [0x811c9dc5, 0x9747b28c].map((basis) => hash32(text, basis).toString(16).padStart(8, "0")).join("");
}

export function randomFrom(seed: string): Random {
  let state = hash32(seed, 0x811c9dc5);
  const next = () => {
    // A Weyl sequence through a mixing function, as SplitMix does: every state is visited once.
    state = (state + 0x9e3779b9) >>> 0;
    return mix(state);
  };
  const unit = () => next() / 2 ** 32;
  const int = (low: number, high: number) => Math.min(high, low + Math.floor(unit() * (high - low + 1)));
  return {
    unit,
    int,
    pick<Item>(items: readonly Item[]): Item {
      if (items.length === 0) throw new RangeError("nothing to pick from");
      return items[int(0, items.length - 1)] as Item;
    },
    hex: (digits) => Array.from({ length: digits }, () => int(0, 15).toString(16)).join(""),
  };
}

/** FNV-1a over UTF-16 units, then mixed so that near texts differ in all bits. */
function hash32(text: string, basis: number): number {
  let hash = basis;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return mix(hash);
}

function mix(value: number): number {
  let mixed = value | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
