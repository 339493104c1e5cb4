import { AppError } from "./errors.ts";
import { isLoopback } from "./upstreamAddress.ts";

export type CallbackAddressRules = {
  /** Opens this machine, by http or https and on any port; for development. */
  allowLoopback: boolean;
  /** Where weir itself is reached, each as a URL's `host`: nobody makes it call itself. */
  ownHosts: readonly string[];
};

/** Names that belong to no public domain: RFC 6761 and 6762, RFC 8375, ICANN's `internal`, and what routers make up. */
const localSuffixes = [
  ...["localhost", "local", "localdomain", "internal", "intranet", "private", "corp", "home", "lan"],
  ...["arpa", "invalid", "onion", "alt"],
];

/** Public names that answer with whatever address is written in them, or with this machine's. */
const embeddingDomains = [
  ...["nip.io", "sslip.io", "xip.io", "ip.hivemq.com", "traefik.me", "backname.io", "1u.ms", "rbndr.us"],
  ...["localtest.me", "lvh.me", "vcap.me", "lacolhost.com", "localho.st", "fuf.me", "local-ip.sh"],
  ...["local-ip.co", "my-local-ip.co", "sslip.co", "plex.direct"],
];

/** Where clouds tell their machines' credentials, under public names. */
const metadataNames = [
  "metadata.tencentyun.com",
  "metadata.packet.net",
  "metadata.platformequinix.com",
  "metadata.azure.com",
  "metadata.google.com",
  "metadata.goog",
];

/** Four numbers in a row, with dots or hyphens: an address in a name is there to be resolved to. */
const embeddedIpv4 = /(?:^|[.-])(?:\d{1,3}[.-]){3}\d{1,3}(?=[.-])/;

/**
 * A callback's address in its one form. Throws `invalid_request` (param `url`) for all that weir must not be made to
 * call: anything but https on port 443 to a public name. The name must be written as it is meant, in ASCII: what a
 * parser would turn into another one (escapes, full-width digits, other notations of an address) is refused as it stands.
 * To be asked when an address is saved and each time before it is called. What a public name resolves to is not looked
 * at: a deployed Worker reaches no private network.
 */
export function checkedCallbackUrl(text: string, { allowLoopback, ownHosts }: CallbackAddressRules): string {
  if (!/^[\x21-\x7e]+$/.test(text) || text.includes("\\"))
    throw refusal("must be printable ASCII without spaces and backslashes; write other names in their xn-- form");
  const [, authority = ""] = /^https?:\/\/([^/?#]+)/i.exec(text) ?? [];
  const url = URL.parse(text);
  if (!url || !authority) throw refusal("must be an address such as https://example.com/hooks/weir");
  if (authority.includes("@")) throw refusal("must hold no user name and no password");
  if (text.includes("#")) throw refusal("must hold no fragment");
  const written = authority.replace(/:\d*$/, "").toLowerCase();
  if (written !== url.hostname) throw refusal("must name its host in the usual notation");
  if (ownHosts.includes(url.host)) throw refusal("must not be weir itself");
  if (isLoopback(url.hostname) && allowLoopback) return url.href;
  if (url.protocol !== "https:") throw refusal("must begin with https://");
  if (url.port !== "") throw refusal("must be on port 443");
  if (!isPublicName(url.hostname))
    throw refusal("must be a public name, neither an IP address nor an internal name, nor one that stands for either");
  // A port says nothing about who is called.
  if (ownHosts.some((host) => hostnameOf(host) === url.hostname)) throw refusal("must not be weir itself");
  return url.href;
}

function isPublicName(name: string): boolean {
  const labels = name.split(".");
  if (labels.length < 2 || name.length > 253) return false;
  if (!labels.every((label) => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(label))) return false;
  // Also what ends in a number in any notation: a last label of letters makes it a name.
  if (!/^(?:[a-z]{2,63}|xn--[a-z0-9-]+)$/.test(labels.at(-1) ?? "")) return false;
  const isUnder = (domain: string) => name === domain || name.endsWith(`.${domain}`);
  if ([...localSuffixes, ...embeddingDomains, ...metadataNames].some(isUnder)) return false;
  return !embeddedIpv4.test(name);
}

/** Without the port and the root's full stop, where there is one. */
function hostnameOf(host: string): string {
  return host.replace(/:\d+$/, "").replace(/\.$/, "");
}

function refusal(why: string): AppError {
  return new AppError("invalid_request", `url: ${why}`, { param: "url" });
}
