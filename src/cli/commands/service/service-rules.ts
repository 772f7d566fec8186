/**
 * The options of `service create` and `service update` that make up a specification, checked with the same rules as
 * the keys of the file. Options that are not given leave what is there. An empty value empties a list.
 */

import {
  bindList,
  type ClientLimits,
  clientPrefixFields,
  clientRate,
  duration,
  findUselessOptions,
  integer,
  labels,
  MAX_UDP_SESSIONS,
  NO_CLIENT_LIMITS,
  perClient,
  prefix,
  ruleFields,
  type ServiceOption,
  type ServiceRules,
  type ServiceSpec,
  serviceSpec,
  showValue,
  udpFields,
} from "../../../model/index.ts";
import { applyHealth } from "./health-options.ts";
import { readFlag, readNumber, readOne, wrong } from "./read-option.ts";
import { type SpecOptions, UDP_FLAGS } from "./spec-flags.ts";

/** Flags of what can be wrong together with other flags. */
const LIST_FLAGS: Readonly<Record<string, string>> = {
  publish: "--publish",
  acceptProxy: "--accept-proxy",
  allow: "--allow",
  deny: "--deny",
  bind: "--bind",
  nodes: "--node-label",
  sendProxy: "--send-proxy",
  check: "--health-type",
  panic: "--panic",
  slowStartMs: "--slow-start",
};

/** `current` with the options in it. Throws CommandFailure for the first wrong one. */
export function applyRules(options: SpecOptions, current: ServiceRules): ServiceRules {
  return {
    balance: readOne("--balance", options.balance, ruleFields.balance) ?? current.balance,
    prefer: readOne("--prefer", options.prefer, ruleFields.prefer) ?? current.prefer,
    sendProxy: readOne("--send-proxy", options.sendProxy, ruleFields.sendProxy) ?? current.sendProxy,
    acceptProxy: readPrefixes("--accept-proxy", options.acceptProxy) ?? current.acceptProxy,
    allow: readPrefixes("--allow", options.allow) ?? current.allow,
    deny: readPrefixes("--deny", options.deny) ?? current.deny,
    bind: options.bind === undefined ? current.bind : readBind(options.bind),
    nodes: options.nodeLabel === undefined ? current.nodes : readLabels(options.nodeLabel),
    maxConnections:
      readNumber("--max-connections", options.maxConnections, ruleFields.maxConnections) ??
      current.maxConnections,
    idleTimeoutMs: readOne("--idle-timeout", options.idleTimeout, duration(0)) ?? current.idleTimeoutMs,
    drainTimeoutMs: readOne("--drain-timeout", options.drainTimeout, duration(0)) ?? current.drainTimeoutMs,
    ...perClient(readClientLimits(options, current.perClient ?? NO_CLIENT_LIMITS)),
    check: applyHealth(options, current.check),
    panic: readFlag("--panic", options.panic) ?? current.panic,
    slowStartMs: readOne("--slow-start", options.slowStart, duration(0)) ?? current.slowStartMs,
    udp: {
      mode: readOne("--udp-mode", options.udpMode, udpFields.mode) ?? current.udp.mode,
      idleTimeoutMs:
        readOne("--udp-idle-timeout", options.udpIdleTimeout, duration(1)) ?? current.udp.idleTimeoutMs,
      maxSessions:
        readNumber("--udp-max-sessions", options.udpMaxSessions, udpFields.maxSessions) ??
        current.udp.maxSessions,
      responses:
        readNumber("--udp-responses", options.udpResponses, udpFields.responses) ?? current.udp.responses,
    },
  };
}

function readClientLimits(options: SpecOptions, current: ClientLimits): ClientLimits {
  const { maxConnectionsPerClient, udpMaxSessionsPerClient, clientPrefixIpv4, clientPrefixIpv6 } = options;
  const { ipv4, ipv6 } = clientPrefixFields;
  return {
    maxConnections:
      readNumber("--max-connections-per-client", maxConnectionsPerClient, ruleFields.maxConnections) ??
      current.maxConnections,
    maxSessions:
      readNumber("--udp-max-sessions-per-client", udpMaxSessionsPerClient, integer(0, MAX_UDP_SESSIONS)) ??
      current.maxSessions,
    rate:
      options.ratePerClient === ""
        ? null
        : (readOne("--rate-per-client", options.ratePerClient, clientRate) ?? current.rate),
    prefix: {
      ipv4: readNumber("--client-prefix-ipv4", clientPrefixIpv4, ipv4) ?? current.prefix.ipv4,
      ipv6: readNumber("--client-prefix-ipv6", clientPrefixIpv6, ipv6) ?? current.prefix.ipv6,
    },
  };
}

/** Throws CommandFailure for more than a service may hold, and for an option that can do nothing with its ports. */
export function refuseUseless(options: SpecOptions, spec: ServiceSpec): void {
  const udpFlag = UDP_FLAGS.find(({ key }) => options[key] !== undefined)?.flag;
  const flags: Readonly<Record<ServiceOption, string>> = {
    udp: udpFlag ?? "--udp-mode",
    "udp.idle_timeout": "--udp-idle-timeout",
    "udp.max_sessions": "--udp-max-sessions",
    idle_timeout: "--idle-timeout",
    max_connections: "--max-connections",
    max_connections_per_client: "--max-connections-per-client",
    rate_per_client: "--rate-per-client",
    client_prefix: options.clientPrefixIpv4 === undefined ? "--client-prefix-ipv6" : "--client-prefix-ipv4",
    "udp.max_sessions_per_client": "--udp-max-sessions-per-client",
    send_proxy: "--send-proxy",
  };
  const given: Readonly<Partial<Record<ServiceOption, unknown>>> = {
    udp: udpFlag,
    idle_timeout: options.idleTimeout,
    max_connections: options.maxConnections,
    max_connections_per_client:
      options.maxConnectionsPerClient ?? (spec.perClient?.maxConnections || undefined),
    rate_per_client: spec.perClient?.rate ?? undefined,
    client_prefix: options.clientPrefixIpv4 ?? options.clientPrefixIpv6,
    "udp.max_sessions_per_client": spec.perClient?.maxSessions || undefined,
    send_proxy: spec.sendProxy, // also one that was set before, when a udp port comes along
  };
  const fault = serviceSpec.safeParse(spec).error?.issues[0];
  if (fault !== undefined) wrong(LIST_FLAGS[String(fault.path[0])] ?? String(fault.path[0]), fault.message);
  const protocols = new Set(spec.publish.map((port) => port.protocol));
  const [first] = findUselessOptions(
    protocols,
    (option) => given[option],
    (option) => flags[option],
  );
  if (first !== undefined) wrong(flags[first.option], first.message);
}

function readPrefixes(flag: string, texts: readonly string[] | undefined): readonly string[] | undefined {
  return texts === undefined ? undefined : filled(texts).map((text) => readOne(flag, text, prefix) ?? "");
}

function readBind(texts: readonly string[]): readonly string[] | null {
  const rules = filled(texts);
  return rules.length === 0 ? null : (readOne("--bind", rules, bindList) ?? null);
}

function readLabels(texts: readonly string[]): Readonly<Record<string, string>> {
  const pairs = filled(texts).map((text): [string, string] => {
    const [key = "", ...value] = text.split("=");
    const isPair = value.length > 0 && labels().safeParse({ [key]: value.join("=") }).success;
    if (!isPair) wrong("--node-label", `${showValue(text)} is not KEY=VALUE`);
    return [key, value.join("=")];
  });
  const keys = pairs.map(([key]) => key);
  const twice = keys.find((key, index) => keys.indexOf(key) !== index);
  if (twice !== undefined) wrong("--node-label", `${showValue(twice)} is given twice`);
  return Object.fromEntries(pairs);
}

function filled(texts: readonly string[]): readonly string[] {
  return texts.filter((text) => text !== "");
}
