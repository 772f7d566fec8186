/** The options that make up a specification, as commander knows them; what they mean is in service-rules.ts. */
import type { Command } from "commander";
import { collect } from "../options.ts";
import { type HealthOptions, withHealthOptions } from "./health-options.ts";

/** As commander hands them over. */
export interface SpecOptions extends HealthOptions {
  readonly balance?: string;
  readonly prefer?: string;
  readonly sendProxy?: string;
  readonly acceptProxy?: readonly string[];
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
  readonly bind?: readonly string[];
  readonly nodeLabel?: readonly string[];
  readonly maxConnections?: string;
  readonly maxConnectionsPerClient?: string;
  readonly ratePerClient?: string;
  readonly clientPrefixIpv4?: string;
  readonly clientPrefixIpv6?: string;
  readonly idleTimeout?: string;
  readonly drainTimeout?: string;
  readonly panic?: string;
  readonly slowStart?: string;
  readonly udpMode?: string;
  readonly udpIdleTimeout?: string;
  readonly udpMaxSessions?: string;
  readonly udpMaxSessionsPerClient?: string;
  readonly udpResponses?: string;
}

export const UDP_FLAGS = [
  { key: "udpMode", flag: "--udp-mode" },
  { key: "udpIdleTimeout", flag: "--udp-idle-timeout" },
  { key: "udpMaxSessions", flag: "--udp-max-sessions" },
  { key: "udpMaxSessionsPerClient", flag: "--udp-max-sessions-per-client" },
  { key: "udpResponses", flag: "--udp-responses" },
] as const;

export function withSpecOptions(command: Command): Command {
  return withHealthOptions(command)
    .option("--balance <how>", "round-robin, least-connections, source-hash or random")
    .option("--prefer <tasks>", "any, local or zone; the others are used when these fail")
    .option("--send-proxy <version>", "none, v1 or v2: PROXY header to the tasks")
    .option("--accept-proxy <prefix>", "clients that must send a PROXY header; repeatable", collect)
    .option("--allow <prefix>", "clients that are served; repeatable", collect)
    .option("--deny <prefix>", "clients that are rejected; repeatable", collect)
    .option("--bind <address>", "address, prefix or interface to listen on; repeatable", collect)
    .option("--node-label <key=value>", "only nodes with this label listen; repeatable", collect)
    .option("--max-connections <count>", "open TCP connections on each node; 0 = no limit")
    .option("--max-connections-per-client <count>", "open TCP connections of one client; 0 = no limit")
    .option("--rate-per-client <rate>", "new connections of one client, like 20/s or 600/m; empty = any")
    .option("--client-prefix-ipv4 <bits>", "addresses with so many bits in common are one client")
    .option("--client-prefix-ipv6 <bits>", "the same for IPv6")
    .option("--idle-timeout <duration>", "close idle TCP connections after this; 0s = never")
    .option("--drain-timeout <duration>", "how long connections to a removed task may continue")
    .option("--panic <true|false>", "use unhealthy tasks while no task is healthy")
    .option("--slow-start <duration>", "a healthy task gets its whole share after this")
    .option("--udp-mode <mode>", "session or packet")
    .option("--udp-idle-timeout <duration>", "end a UDP session without datagrams after this")
    .option("--udp-max-sessions <count>", "UDP sessions; at this number the longest idle makes room")
    .option("--udp-max-sessions-per-client <count>", "UDP sessions of one client; 0 = no limit")
    .option(
      "--udp-responses <count>",
      "end a UDP session once each datagram has this many replies; 0 = idle",
    );
}
