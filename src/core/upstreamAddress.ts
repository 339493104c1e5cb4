import { AppError } from "./errors.ts";

/**
 * A base URL in its one form, without a slash at its end. Throws `invalid_request` (param `baseUrl`) for what weir
 * must not be made to call: anything but https to a public name, with nothing but a path after it. `allowLoopback`
 * opens this machine too, by http or https.
 */
export function checkedBaseUrl(text: string, allowLoopback: boolean): string {
  const url = URL.parse(text);
  if (!url) throw refusal("not an address such as https://api.example.com/v1");
  if (url.protocol !== "https:" && url.protocol !== "http:") throw refusal("must begin with https://");
  if (url.username || url.password) throw refusal("must hold no user name or password: send the key as apiKey");
  // Also an empty one, which `search` and `hash` do not show.
  if (/[?#]/.test(text)) throw refusal("must hold no query and no fragment");
  const loopback = isLoopback(url.hostname);
  if (loopback && !allowLoopback) throw refusal("must not be this machine");
  if (!loopback && url.protocol !== "https:") throw refusal("must begin with https://");
  if (!loopback && isInternal(url.hostname))
    throw refusal("must be a public name, neither an IP address nor an internal name");
  return url.origin + url.pathname.replace(/\/+$/, "");
}

/** `hostname` as the URL parser leaves it: IPv4 in whatever notation is dotted decimal by then. */
export function isLoopback(hostname: string): boolean {
  const name = hostname.replace(/\.$/, "");
  return name === "localhost" || name.endsWith(".localhost") || /^127(?:\.\d+){3}$/.test(name) || name === "[::1]";
}

function isInternal(hostname: string): boolean {
  const name = hostname.replace(/\.$/, "");
  return (
    name.startsWith("[") || /^\d+(?:\.\d+){3}$/.test(name) || /\.(?:local|internal)$/.test(name) || !name.includes(".")
  );
}

function refusal(why: string): AppError {
  return new AppError("invalid_request", `baseUrl: ${why}`, { param: "baseUrl" });
}
