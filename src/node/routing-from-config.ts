/**
 * Configuration + resolved names + the machine's addresses -> routing table. Pure: the same input gives the same
 * table, so whoever asks again after every change can compare and do nothing when nothing changed.
 *
 * What cannot be had now (a name without address, an interface that is not there) leaves a warning, never an error:
 * everything else is served, and a later table repairs it.
 */
import { isIP } from "node:net";
import type { Config, ServiceConfig } from "../config/index.ts";
import type { PublishedPort, RoutingTable, Service, Task } from "../proxy/index.ts";
import type { LocalAddress, LocalNetwork } from "../sys/local-addresses.ts";
import { PrefixSet, parseIp } from "../wire/index.ts";

export interface RoutingInput {
  readonly config: Config;
  readonly network: LocalNetwork;
  /** [] while the name has not been resolved. */
  readonly addressesOf: (host: string) => readonly string[];
}

export interface Routing {
  readonly table: RoutingTable;
  readonly warnings: readonly RoutingWarning[];
}

export interface RoutingWarning {
  readonly service: string;
  readonly message: string;
}

const LINK_LOCAL = PrefixSet.from(["fe80::/10"]);

export function routingFromConfig(input: RoutingInput): Routing {
  const warnings: RoutingWarning[] = [];
  const claims = new Map<string, string>();
  const services = input.config.services.map((service): Service => {
    const warn = (message: string) => warnings.push({ service: service.name, message });
    const addresses = listenAddresses(service.bind ?? input.config.proxy.bind, input.network, warn);
    const { publish, tasks, bind, nodes, ...rules } = service;
    return {
      ...rules,
      ports: publish,
      tasks: tasks.flatMap((task) => resolveTask(task, input.addressesOf)),
      listenAddresses: addresses.filter((address) => claim(claims, service, address, warn)),
    };
  });
  return { table: { services, peers: [], relay: null }, warnings };
}

/** Names to resolve, each once. */
export function hostNames(config: Config): string[] {
  const hosts = config.services.flatMap((service) => service.tasks.map((task) => task.host));
  return [...new Set(hosts.filter((host) => isIP(host) === 0))];
}

/** Whether the table depends on the addresses of the machine's interfaces. */
export function dependsOnInterfaces(config: Config): boolean {
  return config.services.some((service) =>
    (service.bind ?? config.proxy.bind).some((rule) => isIP(rule) === 0),
  );
}

function resolveTask(task: ServiceConfig["tasks"][number], addressesOf: RoutingInput["addressesOf"]): Task[] {
  const { host, ...rest } = task;
  const addresses = isIP(host) === 0 ? addressesOf(host) : [host];
  return addresses.map((address) => ({
    ...rest,
    node: null,
    distance: "local",
    identity: `${address} ${task.port}`,
    address,
  }));
}

function listenAddresses(
  bind: readonly string[],
  network: LocalNetwork,
  warn: (message: string) => void,
): string[] {
  if (bind.length === 0) return network.hasIpv6 ? ["0.0.0.0", "::"] : ["0.0.0.0"];
  const addresses = bind.flatMap((rule) => {
    const found = addressesOfRule(rule, network.addresses);
    if (found.length === 0) warn(`bind: "${rule}" matches no address of this machine`);
    return found;
  });
  return [...new Set(addresses)];
}

function addressesOfRule(rule: string, local: readonly LocalAddress[]): string[] {
  if (isIP(rule) !== 0) return [rule];
  const usable = local.filter((entry) => !isInside(LINK_LOCAL, entry.address));
  const prefix = rule.includes("/") ? PrefixSet.from([rule]) : null;
  return usable
    .filter((entry) => (prefix === null ? entry.interface === rule : isInside(prefix, entry.address)))
    .map((entry) => entry.address);
}

function isInside(prefixes: PrefixSet, address: string): boolean {
  const ip = parseIp(address);
  return ip !== null && prefixes.matches(ip.family, ip.bytes, 0);
}

/** Two interfaces may turn out to have one address: the service that comes first in the file keeps it. */
function claim(
  claims: Map<string, string>,
  service: ServiceConfig,
  address: string,
  warn: (message: string) => void,
): boolean {
  const keyOf = (port: Pick<PublishedPort, "protocol" | "published">) =>
    `${port.protocol} ${address} ${port.published}`;
  const taken = service.publish.find((port) => claims.has(keyOf(port)));
  if (taken !== undefined) {
    const owner = claims.get(keyOf(taken));
    warn(`cannot listen on ${address}: ${taken.published}/${taken.protocol} there belongs to "${owner}"`);
    return false;
  }
  for (const port of service.publish) claims.set(keyOf(port), service.name);
  return true;
}
