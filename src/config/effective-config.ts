/**
 * Config -> a plain object in the file's own key names with every default filled in. Parsing its JSON gives an
 * equal Config again. Nothing in it is secret today; a key that is gets masked here, where it is written out.
 */
import type { Config, ServiceConfig } from "./config.ts";
import { formatDuration } from "./duration.ts";
import { collapsePorts, formatRange } from "./port-range.ts";

export function effectiveConfig(config: Config): unknown {
  return {
    node: { name: config.node.name },
    proxy: { workers: config.proxy.workers, bind: config.proxy.bind },
    admin: { socket: config.admin.socket },
    log: { level: config.log.level, format: config.log.format },
    services: config.services.map(effectiveService),
  };
}

/** Keys that have no effect on the ports of a service are refused in a file, so they are left out here. */
function effectiveService(service: ServiceConfig): unknown {
  const hasTcp = service.publish.some((port) => port.protocol === "tcp");
  const hasUdp = service.publish.some((port) => port.protocol === "udp");
  return {
    name: service.name,
    publish: collapsePorts(service.publish).map(formatRange),
    tasks: service.tasks.map(({ name, weight, isDraining }) => ({
      address: name,
      weight,
      drain: isDraining,
    })),
    balance: service.balance,
    send_proxy: service.sendProxy,
    accept_proxy: service.acceptProxy,
    allow: service.allow,
    deny: service.deny,
    bind: service.bind,
    ...(hasTcp && {
      max_connections: service.maxConnections,
      idle_timeout: formatDuration(service.idleTimeoutMs),
    }),
    drain_timeout: formatDuration(service.drainTimeoutMs),
    ...(hasUdp && {
      udp: {
        mode: service.udp.mode,
        idle_timeout: formatDuration(service.udp.idleTimeoutMs),
        max_sessions: service.udp.maxSessions,
      },
    }),
  };
}
