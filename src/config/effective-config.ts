/**
 * Config -> a plain object in the file's own key names with every default filled in. Parsing its JSON gives an
 * equal Config again, but for cluster.keys and secrets from the environment: they are masked, since users post this
 * output.
 */

import {
  type Check,
  collapsePorts,
  expandRanges,
  formatDuration,
  formatRange,
  formatRate,
  type PortSpec,
} from "../model/index.ts";
import { formatHostPort } from "../wire/index.ts";
import type { AdminHttpConfig, ClusterConfig, Config, ServiceConfig } from "./config.ts";
import { hideTexts, MASKED, mapStrings } from "./secrets.ts";
import { escapeVariables } from "./variables.ts";

/** @param secrets texts that must not be shown, wherever they are */
export function effectiveConfig(config: Config, secrets: readonly string[] = []): unknown {
  return mapStrings(plainConfig(config), (text) => escapeVariables(hideTexts(text, secrets)));
}

function plainConfig(config: Config): unknown {
  return {
    node: {
      name: config.node.name,
      ...(config.node.advertise !== null && { advertise: config.node.advertise }),
      labels: config.node.labels,
      ...(config.node.dataDir !== null && { data_dir: config.node.dataDir }),
      exec_checks: config.node.execChecks,
    },
    ...(config.cluster !== null && {
      cluster: effectiveCluster(config.cluster),
      overlay: { ...config.overlay },
    }),
    proxy: { workers: config.proxy.workers, bind: config.proxy.bind },
    admin: {
      ...(config.admin.socket !== null && { socket: config.admin.socket }),
      ...(config.admin.http !== null && effectiveHttp(config.admin.http)),
    },
    log: {
      level: config.log.level,
      format: config.log.format,
      connections: config.log.connections,
      connection_format: config.log.connectionFormat,
      connection_rate: config.log.connectionRate,
    },
    services: config.services.map(effectiveService),
  };
}

function effectiveCluster(cluster: ClusterConfig): unknown {
  return {
    name: cluster.name,
    ...(cluster.keysFile === null
      ? { keys: cluster.keys.map(() => MASKED) }
      : { keys_file: cluster.keysFile }),
    join: cluster.join.map(({ host, port }) => formatHostPort(host, port)),
    bind: formatHostPort(cluster.bind.host, cluster.bind.port),
    profile: cluster.profile,
    insecure: cluster.isInsecure,
  };
}

/** The paths of the files, and nothing that is in them. */
function effectiveHttp({ listen, hosts, tokensFile, tls }: AdminHttpConfig): object {
  return {
    listen: formatHostPort(listen.host, listen.port),
    hosts,
    ...(tokensFile !== null && { tokens_file: tokensFile }),
    ...(tls !== null && { tls_cert: tls.certFile, tls_key: tls.keyFile }),
  };
}

/** Only ports of mode ingress without server names have a short form. */
function effectivePublish(ports: readonly PortSpec[]): unknown[] {
  return collapsePorts(ports).flatMap((range): unknown[] =>
    range.mode === "ingress" && range.sni === undefined ? [formatRange(range)] : expandRanges([range]),
  );
}

/** Keys that have no effect on the ports of a service are refused in a file, so they are left out here. */
function effectiveService(service: ServiceConfig): unknown {
  const hasTcp = service.publish.some((port) => port.protocol === "tcp");
  const { perClient } = service;
  const hasUdp = service.publish.some((port) => port.protocol === "udp");
  return {
    name: service.name,
    publish: effectivePublish(service.publish),
    tasks: service.tasks.map(({ name, weight, isDraining, isBackup = false }) => ({
      address: name,
      weight,
      drain: isDraining,
      backup: isBackup,
    })),
    balance: service.balance,
    prefer: service.prefer,
    send_proxy: service.sendProxy,
    accept_proxy: service.acceptProxy,
    allow: service.allow,
    deny: service.deny,
    ...(service.bind !== null && { bind: service.bind }),
    nodes: service.nodes,
    ...(hasTcp && {
      max_connections: service.maxConnections,
      ...(perClient !== undefined && { max_connections_per_client: perClient.maxConnections }),
      idle_timeout: formatDuration(service.idleTimeoutMs),
    }),
    ...(perClient !== undefined && {
      ...(perClient.rate !== null && { rate_per_client: formatRate(perClient.rate) }),
      client_prefix: perClient.prefix,
    }),
    drain_timeout: formatDuration(service.drainTimeoutMs),
    ...(service.check !== null && {
      check: effectiveCheck(service.check),
      panic: service.panic,
      slow_start: formatDuration(service.slowStartMs),
    }),
    ...(hasUdp && {
      udp: {
        mode: service.udp.mode,
        idle_timeout: formatDuration(service.udp.idleTimeoutMs),
        max_sessions: service.udp.maxSessions,
        ...(perClient !== undefined && { max_sessions_per_client: perClient.maxSessions }),
        responses: service.udp.responses,
      },
    }),
  };
}

/** Without what has no default: the type says which keys there are. */
function effectiveCheck({ intervalMs, timeoutMs, ...check }: Check): unknown {
  const given = Object.entries(check).filter(([, value]) => value !== null);
  return {
    ...Object.fromEntries(given),
    interval: formatDuration(intervalMs),
    timeout: formatDuration(timeoutMs),
  };
}
