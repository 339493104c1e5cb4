/** Where a text is not Mustache. */
export type Fault = { message: string; index: number };

const tagHead = /\s*([#^/>{&=!]?)\s*/y;

/**
 * The place of the fault that made the library refuse `text`. The library reports an unclosed tag or section at the
 * text's end; people look for its beginning. Falls back on the library's own words.
 */
export function findFault(text: string, refused: unknown): Fault {
  let opener = "{{";
  let closer = "}}";
  const open: { name: string; index: number }[] = [];
  for (let index = text.indexOf(opener); index >= 0; ) {
    tagHead.lastIndex = index + opener.length;
    const kind = tagHead.exec(text)?.[1] ?? "";
    const from = Math.max(tagHead.lastIndex, index + opener.length);
    const ending = kind === "=" ? `=${closer}` : kind === "{" ? `}${closer}` : closer;
    const to = text.indexOf(ending, from);
    if (to < 0) return { message: `the tag "${opener}${kind}" is never closed`, index };
    const value = text.slice(from, to).trim();
    if (kind === "#" || kind === "^") open.push({ name: value, index });
    if (kind === "/") {
      const section = open.pop();
      if (!section) return { message: `"${value}" is closed but was never opened`, index };
      if (section.name !== value)
        return { message: `"${value}" is closed where "${section.name}" is still open`, index };
    }
    if (kind === "=") {
      const tags = value.split(/\s+/);
      if (!tags[0] || !tags[1] || tags.length !== 2)
        return { message: "a set-delimiter tag needs two delimiters", index };
      [opener, closer] = [tags[0], tags[1]];
    }
    index = text.indexOf(opener, to + ending.length);
  }
  const unclosed = open.at(-1);
  if (unclosed) return { message: `the section "${unclosed.name}" is never closed`, index: unclosed.index };
  const words = refused instanceof Error ? refused.message : "not a Mustache text";
  return { message: words, index: Number(/ at (\d+)$/.exec(words)?.[1] ?? 0) };
}
