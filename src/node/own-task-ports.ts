/**
 * Where the tasks of this node listen: protocol, address and port. No service of this node listens there, whether the
 * task's program runs right now or not: bound by portmesh, the address would keep a restarting program out, and its
 * clients would be forwarded to themselves.
 */
import { isIP } from "node:net";
import { formatIp, isMappedIpv4, parseIp } from "../wire/index.ts";
import { type InputService, portKey, type RoutingInput } from "./routing-input.ts";

/** By address: the task there. */
export type TaskAddresses = ReadonlyMap<string, OwnTask>;

export interface OwnTask {
  readonly service: string;
  /** As the operator wrote it. */
  readonly task: string;
}

const NO_TASKS: TaskAddresses = new Map();

export class OwnTaskPorts {
  /** Only ports that some service publishes, by portKey. */
  readonly #byPort = new Map<string, Map<string, OwnTask>>();

  constructor(input: RoutingInput, addressesOf: (host: string) => readonly string[]) {
    const published = publishedPorts(input);
    for (const service of input.services) {
      for (const { node, name, host, port } of service.tasks) {
        if (node !== input.self.name) continue;
        const addresses = (isIP(host) !== 0 ? [host] : addressesOf(host)).map(dialedAddress);
        const task = { service: service.name, task: name };
        for (const key of targetKeys(service, port)) {
          if (published.has(key)) for (const address of addresses) this.#add(key, address, task);
        }
      }
    }
  }

  at(port: { readonly protocol: string; readonly published: number }): TaskAddresses {
    return this.#byPort.get(portKey(port)) ?? NO_TASKS;
  }

  #add(key: string, address: string, task: OwnTask): void {
    const addresses = this.#byPort.get(key) ?? new Map<string, OwnTask>();
    if (!addresses.has(address)) addresses.set(address, task);
    this.#byPort.set(key, addresses);
  }
}

/** Whether a task of this node has a port that some service publishes: then the machine's addresses matter. */
export function hasTaskOnPublishedPort(input: RoutingInput): boolean {
  const published = publishedPorts(input);
  return input.services.some((service) =>
    service.tasks.some(
      ({ node, port }) =>
        node === input.self.name && targetKeys(service, port).some((key) => published.has(key)),
    ),
  );
}

/** The address that a connect to this one reaches: the unspecified address means loopback. */
export function dialedAddress(address: string): string {
  const ip = parseIp(address);
  if (ip === null) return address;
  if (ip.bytes.every((byte) => byte === 0)) return ip.family === 4 ? "127.0.0.1" : "::1";
  return ip.family === 6 && isMappedIpv4(ip.bytes, 0)
    ? formatIp(4, ip.bytes, 12)
    : formatIp(ip.family, ip.bytes, 0);
}

function publishedPorts({ services }: RoutingInput): Set<string> {
  return new Set(
    services.flatMap(({ publish, conflictingPorts }) =>
      publish.map(portKey).filter((key) => !conflictingPorts.has(key)),
    ),
  );
}

/** Where a task is connected to, in the form of portKey. */
function targetKeys({ publish }: InputService, port: number | null): string[] {
  const keys = publish.map(({ protocol, target }) => portKey({ protocol, published: port ?? target }));
  return port === null ? keys : [...new Set(keys)];
}
