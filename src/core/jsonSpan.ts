/**
 * The place of a top-level key's value in the text of a JSON object that is known to be valid: [start, end), or null.
 * So one value can be replaced and every other byte stays as the upstream wrote it. The last of equal keys counts.
 */
export function topLevelSpan(text: string, key: string): [number, number] | null {
  let found: [number, number] | null = null;
  let depth = 0;
  let start = -1;
  let name: string | null = null;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '"') {
      const end = endOfString(text, i);
      if (depth === 1 && start < 0) name = text.slice(i + 1, end);
      i = end;
    } else if (char === "{" || char === "[") depth++;
    else if (char === ":" && depth === 1 && start < 0) start = i + 1;
    else if (char === "}" || char === "]" || char === ",") {
      if (char !== ",") depth--;
      const closes = char === "," ? depth === 1 : depth === 0;
      if (!closes) continue;
      if (name === key && start >= 0) found = [start, i];
      start = -1;
      name = null;
    }
  }
  return found;
}

function endOfString(text: string, from: number): number {
  for (let i = from + 1; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === '"') return i;
  }
  return text.length;
}
