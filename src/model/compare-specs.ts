/** What differs between two services, in lines a person reads: "balance round-robin -> random". Order does not count. */
import type { Check } from "./check.ts";
import { type ClientLimits, formatRate, NO_CLIENT_LIMITS } from "./client-limits.ts";
import { formatDuration } from "./duration.ts";
import { collapsePorts, formatRange } from "./port-range.ts";
import { formatServerNames } from "./server-names.ts";
import type { Labels, PortSpec, ServiceRules, ServiceSpec } from "./service.ts";

export function compareSpecs(before: ServiceSpec, after: ServiceSpec): string[] {
  return [...comparePorts(before, after), ...compareRules(before, after)];
}

export function comparePorts(
  before: Pick<ServiceSpec, "publish">,
  after: Pick<ServiceSpec, "publish">,
): string[] {
  const id = (port: PortSpec) =>
    `${port.published}:${port.target}/${port.protocol} ${port.mode}${formatServerNames(port)}`;
  const describe = (ports: readonly PortSpec[]) =>
    collapsePorts(ports).map((range) => `${formatRange(range)}${range.mode === "host" ? " on host" : ""}`);
  return [
    ...describe(missingIn(before.publish, after.publish, id)).map((range) => `publish removed ${range}`),
    ...describe(missingIn(after.publish, before.publish, id)).map((range) => `publish added ${range}`),
  ];
}

export function compareRules(before: ServiceRules, after: ServiceRules): string[] {
  return [
    ...compareValue("balance", before.balance, after.balance),
    ...compareValue("prefer", before.prefer, after.prefer),
    ...compareValue("send_proxy", before.sendProxy, after.sendProxy),
    ...comparePrefixes("accept_proxy", before.acceptProxy, after.acceptProxy),
    ...comparePrefixes("allow", before.allow, after.allow),
    ...comparePrefixes("deny", before.deny, after.deny),
    ...compareValue("bind", describeBind(before.bind), describeBind(after.bind)),
    ...compareValue("nodes", describeLabels(before.nodes), describeLabels(after.nodes)),
    ...compareValue("max_connections", before.maxConnections, after.maxConnections),
    ...compareClientLimits(before.perClient, after.perClient),
    ...compareDuration("idle_timeout", before.idleTimeoutMs, after.idleTimeoutMs),
    ...compareDuration("drain_timeout", before.drainTimeoutMs, after.drainTimeoutMs),
    ...compareChecks(before.check, after.check),
    ...compareValue("panic", String(before.panic), String(after.panic)),
    ...compareDuration("slow_start", before.slowStartMs, after.slowStartMs),
    ...compareValue("udp.mode", before.udp.mode, after.udp.mode),
    ...compareDuration("udp.idle_timeout", before.udp.idleTimeoutMs, after.udp.idleTimeoutMs),
    ...compareValue("udp.max_sessions", before.udp.maxSessions, after.udp.maxSessions),
    ...compareValue("udp.responses", before.udp.responses, after.udp.responses),
  ];
}

export function compareValue(key: string, before: string | number, after: string | number): string[] {
  return before === after ? [] : [`${key} ${before} -> ${after}`];
}

function compareClientLimits(one = NO_CLIENT_LIMITS, other = NO_CLIENT_LIMITS): string[] {
  const rate = (limits: ClientLimits) => (limits.rate === null ? "none" : formatRate(limits.rate));
  const prefix = ({ prefix: { ipv4, ipv6 } }: ClientLimits) => `/${ipv4} and /${ipv6}`;
  return [
    ...compareValue("max_connections_per_client", one.maxConnections, other.maxConnections),
    ...compareValue("udp.max_sessions_per_client", one.maxSessions, other.maxSessions),
    ...compareValue("rate_per_client", rate(one), rate(other)),
    ...compareValue("client_prefix", prefix(one), prefix(other)),
  ];
}

/** Of two checks of one type the keys that differ. */
function compareChecks(before: Check | null, after: Check | null): string[] {
  if (before?.type !== after?.type)
    return compareValue("check", before?.type ?? "none", after?.type ?? "none");
  const [old, now] = [before, after].map((check) => checkTexts(check));
  return Object.keys(now!).flatMap((key) => compareValue(`check.${key}`, old![key]!, now![key]!));
}

/** In the file's spelling. */
function checkTexts(check: Check | null): Record<string, string> {
  const entries = Object.entries(check ?? {}).map(([key, value]): [string, string] => {
    const isDuration = key.endsWith("Ms");
    const text = isDuration
      ? formatDuration(value)
      : typeof value === "string"
        ? value
        : JSON.stringify(value);
    return [key.replace(/Ms$/, ""), text];
  });
  return Object.fromEntries(entries);
}

function compareDuration(key: string, beforeMs: number, afterMs: number): string[] {
  return compareValue(key, formatDuration(beforeMs), formatDuration(afterMs));
}

function comparePrefixes(key: string, before: readonly string[], after: readonly string[]): string[] {
  return [
    ...missingIn(before, after, String).map((prefix) => `${key} removed ${prefix}`),
    ...missingIn(after, before, String).map((prefix) => `${key} added ${prefix}`),
  ];
}

/** The entries of `list` that are not in `other`, by `id`. */
export function missingIn<T>(list: readonly T[], other: readonly T[], id: (entry: T) => string): T[] {
  const others = new Set(other.map(id));
  return list.filter((entry) => !others.has(id(entry)));
}

function describeBind(bind: readonly string[] | null): string {
  if (bind === null) return "proxy.bind";
  return bind.length === 0 ? "every address" : [...bind].sort().join(", ");
}

function describeLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? "every node" : pairs.sort().join(", ");
}
