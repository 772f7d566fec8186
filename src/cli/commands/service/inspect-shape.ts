/**
 * A service in the shape of `docker service inspect`, so that scripts and `--format` lines keep working; what only
 * portmesh knows is under `Portmesh`. Docker writes PublishMode from some version on; here it is there for `host` only.
 */

import { createHash } from "node:crypto";
import type { ServiceInfo } from "../../../admin/index.ts";
import {
  type Check,
  type ClientLimits,
  formatDuration,
  formatRate,
  type PortSpec,
} from "../../../model/index.ts";
import { formatDockerPorts } from "../../render/ports.ts";

const ID_LENGTH = 25; // as long as Docker's

export interface InspectedPort {
  readonly Protocol: PortSpec["protocol"];
  readonly TargetPort: number;
  readonly PublishedPort: number;
  readonly PublishMode?: "host";
  /** Only portmesh has it. */
  readonly ServerNames?: readonly string[];
}

export function inspectService(service: ServiceInfo): object {
  const { name, spec } = service;
  const endpoint = { Mode: "vip", Ports: spec.publish.map(inspectPort) };
  return {
    ID: serviceId(service),
    Version: { Index: service.stamp.counter },
    CreatedAt: new Date(service.createdAtMs).toISOString(),
    UpdatedAt: new Date(service.updatedAtMs).toISOString(),
    Spec: {
      Name: name,
      Labels: {},
      TaskTemplate: { Placement: { Constraints: constraintsOf(spec.nodes) } },
      Mode: { Replicated: { Replicas: service.tasks.length } },
      EndpointSpec: endpoint,
    },
    Endpoint: { Spec: endpoint, Ports: endpoint.Ports, VirtualIPs: [] },
    Portmesh: inspectOwn(service),
  };
}

/** What `docker service ls --format` offers of a service. */
export function listRow(service: ServiceInfo): object {
  const active = service.tasks.filter((task) => task.state === "active").length;
  return {
    ID: serviceId(service),
    Name: service.name,
    Mode: "replicated",
    Replicas: `${active}/${service.tasks.length}`,
    Ports: formatDockerPorts(service.spec.publish),
    Origin: service.origin,
  };
}

/** Stays as long as the service, also through updates; another service of the same name has another. */
export function serviceId({ name, created }: Pick<ServiceInfo, "name" | "created">): string {
  const hash = createHash("sha256")
    .update(JSON.stringify([name, created.counter, created.node]))
    .digest("hex");
  return BigInt(`0x${hash}`).toString(36).padStart(ID_LENGTH, "0").slice(-ID_LENGTH);
}

function inspectPort({ protocol, target, published, mode, sni }: PortSpec): InspectedPort {
  const port = {
    Protocol: protocol,
    TargetPort: target,
    PublishedPort: published,
    ...(sni !== undefined && { ServerNames: sni }),
  };
  return mode === "host" ? { ...port, PublishMode: mode } : port;
}

function inspectLimits({ maxConnections, maxSessions, rate, prefix }: ClientLimits): object {
  return {
    MaxConnections: maxConnections,
    MaxSessions: maxSessions,
    Rate: rate === null ? null : formatRate(rate),
    PrefixIPv4: prefix.ipv4,
    PrefixIPv6: prefix.ipv6,
  };
}

function constraintsOf(nodes: Readonly<Record<string, string>>): string[] {
  return Object.entries(nodes).map(([key, value]) => `node.labels.${key}==${value}`);
}

/** The keys of the file, capitalized. */
function inspectCheck(check: Check): object {
  const entries = Object.entries(check).map(([key, value]) => {
    const name = key.replace(/Ms$/, "");
    const shown = name === key ? value : formatDuration(value as number);
    return [`${name[0]!.toUpperCase()}${name.slice(1)}`, shown];
  });
  return Object.fromEntries(entries);
}

function inspectOwn({
  spec,
  origin,
  definitions,
  tasks,
  conflicts,
  isInPanic,
  overwritten,
}: ServiceInfo): object {
  return {
    Origin: origin,
    Definitions: definitions.map((definition) => ({
      Node: definition.node,
      File: definition.file,
      NodeAlive: definition.isAlive,
      ChangedAt: new Date(definition.changedAtMs).toISOString(),
      Differences: definition.differences,
    })),
    Balance: spec.balance,
    Prefer: spec.prefer,
    SendProxy: spec.sendProxy,
    AcceptProxy: spec.acceptProxy,
    Allow: spec.allow,
    Deny: spec.deny,
    Bind: spec.bind,
    Nodes: spec.nodes,
    MaxConnections: spec.maxConnections,
    IdleTimeout: formatDuration(spec.idleTimeoutMs),
    DrainTimeout: formatDuration(spec.drainTimeoutMs),
    ...(spec.perClient !== undefined && { PerClient: inspectLimits(spec.perClient) }),
    Check: spec.check && inspectCheck(spec.check),
    Panic: spec.panic,
    SlowStart: formatDuration(spec.slowStartMs),
    InPanic: isInPanic,
    UDP: {
      Mode: spec.udp.mode,
      IdleTimeout: formatDuration(spec.udp.idleTimeoutMs),
      MaxSessions: spec.udp.maxSessions,
      Responses: spec.udp.responses,
    },
    Tasks: tasks.map((task) => ({
      Node: task.node,
      Name: task.name,
      Host: task.host,
      Port: task.port,
      Weight: task.weight,
      State: task.state,
      Origin: task.origin,
      Error: task.error,
      Backup: task.isBackup === true,
      Health: task.health && {
        State: task.health.state,
        Reason: task.health.reason,
        Since: new Date(task.health.since).toISOString(),
      },
    })),
    Conflicts: conflicts.map((conflict) => ({
      Protocol: conflict.protocol,
      PublishedPort: conflict.port,
      With: conflict.with,
    })),
    Overwritten: overwritten.map((change) => ({
      Node: change.node,
      At: new Date(change.atMs).toISOString(),
      ByNode: change.byNode,
      ByAt: new Date(change.byAtMs).toISOString(),
      Differences: change.differences,
    })),
  };
}
