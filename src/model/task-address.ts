/** Where a task listens, as the operator writes it: HOST, HOST:PORT, [v6]:PORT or a bare IPv6 address. */
import { canonicalHost } from "./address.ts";
import { isTaskName, MAX_TASK_NAME_LENGTH } from "./names.ts";
import { isPort } from "./port-range.ts";
import { showValue } from "./show-value.ts";

export interface TaskAddress {
  /** Canonical IP address or DNS name. */
  readonly host: string;
  readonly port: number | null;
}

/** The address, or what is wrong with it. */
export function parseTaskAddress(text: string): TaskAddress | { readonly error: string } {
  const { host, port } = splitPort(text);
  const canonical = host === null ? null : canonicalHost(host);
  if (canonical === null) return { error: `${showValue(text)} is not HOST, HOST:PORT or [IPv6]:PORT` };
  if (!isTaskName(text)) return { error: `longer than ${MAX_TASK_NAME_LENGTH} characters` };
  if (port !== null && !isPort(port)) return { error: `${port} is outside 1..65535` };
  return { host: canonical, port };
}

/** host is null when the brackets or the port are malformed. */
function splitPort(text: string): { host: string | null; port: number | null } {
  const bracketed = /^\[([^\]]*)\](?::(\d+))?$/.exec(text);
  if (bracketed !== null) {
    const [, address = "", port] = bracketed;
    return { host: address.includes(":") ? address : null, port: port === undefined ? null : Number(port) };
  }
  const withPort = /^([^:[\]]*):(\d+)$/.exec(text);
  if (withPort !== null) return { host: withPort[1] ?? null, port: Number(withPort[2]) };
  return { host: text, port: null };
}
