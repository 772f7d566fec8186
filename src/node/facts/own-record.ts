/** The record this node announces about itself, from the facts. Pure. */
import {
  type DownTask,
  MAX_BIND_ERROR_LENGTH,
  MAX_BIND_ERRORS,
  MAX_DOWN_PORTS,
  MAX_DOWN_TASKS_BYTES,
  MAX_TASK_ADDRESSES,
  type NodeRecord,
} from "../../catalog/index.ts";
import type { ClosedPorts } from "../reach-report.ts";
import { announcedNetwork } from "./announced-network.ts";
import type { Facts } from "./facts.ts";

export function ownRecord(facts: Facts): NodeRecord {
  const { self, version, phase, catalog, address, overlay, network, taskAddresses } = facts;
  const { node, overlay: overlayConfig, proxy } = facts.file.config;
  return {
    labels: node.labels,
    relay:
      address === null || overlay === null
        ? null
        : { address: address.announced, port: overlayConfig.port, udpPort: overlay.udpPort },
    overlay: overlay?.announcement ?? null,
    isDraining: phase !== "serving" || catalog.directiveOf(self) === "drain",
    version,
    bindErrors: bindErrorsOf(facts),
    downTasks: downTasksOf(facts),
    ...(address !== null && {
      network: announcedNetwork(network, proxy.bind),
      taskAddresses: taskAddresses.slice(0, MAX_TASK_ADDRESSES),
    }),
  };
}

function bindErrorsOf({ bindErrors, reach }: Facts): NodeRecord["bindErrors"] {
  return [...bindErrors, ...closedPortErrors(reach.closed)]
    .slice(0, MAX_BIND_ERRORS)
    .map(([service, listener, error]) => [service, listener, error.slice(0, MAX_BIND_ERROR_LENGTH)]);
}

/** In the place of listeners, of which there are none. */
function closedPortErrors(
  closed: readonly ClosedPorts[],
): [service: string, listener: string, error: string][] {
  return closed.flatMap(({ service, ports }) =>
    ports.map((port): [string, string, string] => [service, port, `${port} closed: no reachable task`]),
  );
}

function downTasksOf({ reach }: Facts): DownTask[] {
  const down = reach.down.map((task) => ({ ...task, ports: task.ports.slice(0, MAX_DOWN_PORTS) }));
  return withinBytes(down, MAX_DOWN_TASKS_BYTES);
}

/** The first ones that fit as JSON. */
function withinBytes<T>(values: readonly T[], maxBytes: number): T[] {
  let bytes = 0;
  const end = values.findIndex((value) => {
    bytes += JSON.stringify(value).length;
    return bytes > maxBytes;
  });
  return values.slice(0, end < 0 ? values.length : end);
}
