/** What a node alone in the world serves with a configuration. */
import type { Config } from "../../../src/config/index.ts";
import type { RoutingInput } from "../../../src/node/routing-input.ts";

export function viewOf(config: Config): RoutingInput {
  const { name, labels } = config.node;
  return {
    self: { name, labels },
    bind: config.proxy.bind,
    services: config.services.map((service) => ({
      ...service,
      conflictingPorts: new Set(),
      tasks: service.tasks.map((task) => ({ ...task, node: name })),
    })),
    peers: [],
    relay: null,
    nodes: [],
  };
}
