/**
 * What is wrong with a configuration that is right in itself: tasks that lead back to their own ports, more ports than
 * descriptors. `portmesh check` and `run` judge a file as if its node stood alone on this machine; a running node that
 * reloads judges it with all it knows.
 */
import { isIP } from "node:net";
import { cpus } from "node:os";
import type { Config, ReportProblem } from "../config/index.ts";
import { DescriptorBudget, excessListeners } from "../proxy/index.ts";
import { raiseFileLimit } from "../sys/file-limit.ts";
import { readLocalNetwork } from "../sys/local-addresses.ts";
import { isWildcard } from "../wire/index.ts";
import { buildRouting } from "./build-routing.ts";
import { describeLoop } from "./forwarding/forwarding-loops.ts";
import { dialedAddress } from "./own-task-ports.ts";
import type { RoutingInput } from "./routing-input.ts";
import type { Objection } from "./table-updates.ts";

/** A file with one mistake in a range has it at every port. */
const MAX_REPORTED = 20;

/** Without a running node. */
export function checkConfig(config: Config, report: ReportProblem): void {
  const network = readLocalNetwork();
  const { table, loops } = buildRouting({ input: inputAlone(config), network, addressesOf: () => [] });
  const workers = config.proxy.workers === 0 ? cpus().length : config.proxy.workers;
  const excess = excessListeners(
    table,
    new DescriptorBudget(raiseFileLimit(), workers, config.cluster !== null),
  );
  const objections = [
    ...loops.map((loop) => ({ loop, message: describeLoop(loop) })),
    ...(excess === null ? [] : [{ loop: null, message: excess }]),
  ];
  reportObjections(objections, config, report);
  reportUnlistened(config, report);
}

/** Services that would listen nowhere, because every address that they are bound to is left to a task of theirs. */
export function reportUnlistened({ services, proxy }: Config, report: ReportProblem): void {
  for (const [index, { publish, tasks, bind }] of services.entries()) {
    const addresses = bind ?? proxy.bind;
    if (addresses.length === 0 || addresses.some((rule) => isIP(rule) === 0 || isWildcard(rule))) continue;
    const port = publish.find(({ target, published }) =>
      addresses.every((address) =>
        tasks.some((task) => dialedAddress(task.host) === address && (task.port ?? target) === published),
      ),
    );
    if (port === undefined) continue;
    report(
      ["services", index, "tasks"],
      `no address is left to listen on for ${port.published}/${port.protocol}: tasks use this port at ` +
        `${addresses.join(", ")}; bind to another address, or publish another port`,
    );
  }
}

/** Each at the task it is about where the file has it. */
export function reportObjections(
  objections: readonly Objection[],
  config: Config,
  report: ReportProblem,
): void {
  const reported = new Set<string>();
  for (const { loop, message } of objections) {
    const path = placeOf(loop, config);
    const key = path.join(".");
    if (reported.has(key) || reported.size >= MAX_REPORTED) continue;
    reported.add(key);
    report(path, message);
  }
}

function placeOf(loop: Objection["loop"], { node, services }: Config): (string | number)[] {
  const service = services.findIndex(({ name }) => name === loop?.service);
  if (loop === null || service < 0) return ["services"];
  const task = services[service]!.tasks.findIndex(({ name }) => name === loop.task);
  return loop.node === node.name && task >= 0 ? ["services", service, "tasks", task] : ["services", service];
}

/** What the file alone makes its node serve. */
function inputAlone({ node, proxy, services }: Config): RoutingInput {
  return {
    self: { name: node.name, labels: node.labels },
    bind: proxy.bind,
    services: services.map((service) => ({
      ...service,
      conflictingPorts: new Set(),
      tasks: service.tasks.map((task) => ({ ...task, node: node.name })),
    })),
    peers: [],
    relay: null,
    nodes: [
      {
        name: node.name,
        labels: node.labels,
        bind: proxy.bind,
        addresses: node.advertise === null ? [] : [{ interface: "", address: node.advertise }],
        taskAddresses: [],
        notListening: [],
      },
    ],
  };
}
