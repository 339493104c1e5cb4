/** Where development servers of browser code commonly listen; 8787 is weir's own. */
const developmentPorts = ["3000", "5173", "8787"];
/** The two names that a browser knows this machine by; to it they are two origins. */
const loopbackHosts = ["localhost", "127.0.0.1"];

/** Ports that pages on this machine may come from, the server's own among them. */
export function localPorts(serverUrl: string): string[] {
  return [...new Set([...developmentPorts, new URL(serverUrl).port || "80"])];
}

/** Origins that the local publishable key works from: pages on this machine. */
export function localOrigins(serverUrl: string): string[] {
  return localPorts(serverUrl).flatMap((port) => loopbackHosts.map((host) => new URL(`http://${host}:${port}`).origin));
}
