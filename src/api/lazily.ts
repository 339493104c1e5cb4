type Makers = Record<string, () => unknown>;
type Made<Making extends Makers> = { readonly [Name in keyof Making]: ReturnType<Making[Name]> };

/** An object whose members are made when they are first asked for: a request needs few of them, and pays for those. */
export function lazily<Making extends Makers>(makers: Making): Made<Making> {
  const made = new Map<string, unknown>();
  return new Proxy({} as Made<Making>, {
    get(_, name) {
      const make = typeof name === "string" && Object.hasOwn(makers, name) ? makers[name] : undefined;
      if (typeof name !== "string" || !make) return undefined;
      if (!made.has(name)) made.set(name, make());
      return made.get(name);
    },
  });
}
