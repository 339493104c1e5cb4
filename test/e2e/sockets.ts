import { readFile } from "node:fs/promises";

/** Bytes that the system holds on their way through this machine's IPv4 connections at any of the ports. */
export async function bytesInSockets(...ports: number[]): Promise<number> {
  const [, ...rows] = (await readFile("/proc/net/tcp", "utf8")).trim().split("\n");
  const portOf = (address = "") => Number.parseInt(address.split(":")[1] ?? "", 16);
  let bytes = 0;
  for (const row of rows) {
    const [, local, remote, , queues = ""] = row.trim().split(/\s+/);
    if (!ports.includes(portOf(local)) && !ports.includes(portOf(remote))) continue;
    for (const queue of queues.split(":")) bytes += Number.parseInt(queue, 16);
  }
  return bytes;
}
