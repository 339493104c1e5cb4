/** The key in `Authorization: Bearer KEY` (the scheme in any case); null when there is none or the header is malformed. */
export function presentedKey(headers: Headers): string | null {
  const header = headers.get("authorization")?.trim();
  return /^bearer[ \t]+(\S+)$/i.exec(header ?? "")?.[1] ?? null;
}
