/** How much room a service takes in its record of the catalog. */
import { checkBytes } from "./check-schema.ts";
import { labelBytes } from "./labels.ts";
import { MAX_PORTS_PER_SERVICE, MAX_SERVER_NAMES, MAX_SERVICE_BYTES } from "./limits.ts";
import { collapsePorts, type PortRange } from "./port-range.ts";
import type { Protocol, ServiceSpec } from "./service.ts";

/** `["tcp",65535,65535,16384,"ingress"],` */
const PORT_RUN_BYTES = 38;

/** The keys of a service whose values may be long. */
export type ListField = "publish" | "acceptProxy" | "allow" | "deny" | "bind" | "nodes" | "check";

type Lists = Pick<ServiceSpec, Exclude<ListField, "publish">> & {
  readonly publish: readonly (ServiceSpec["publish"][number] & { readonly count?: number })[];
};

/** The longest list of a service whose lists are too long together; null: they are not. */
export function findSizeFault(
  service: Lists,
): { readonly field: ListField; readonly message: string } | null {
  const sizes = {
    publish: publishBytes(service.publish),
    acceptProxy: listBytes(service.acceptProxy),
    allow: listBytes(service.allow),
    deny: listBytes(service.deny),
    bind: listBytes(service.bind ?? []),
    nodes: labelBytes(service.nodes),
    check: checkBytes(service.check),
  };
  const total = Object.values(sizes).reduce((sum, bytes) => sum + bytes, 0);
  if (total <= MAX_SERVICE_BYTES) return null;
  const fields = Object.keys(sizes) as ListField[];
  const field = fields.reduce((most, other) => (sizes[other] > sizes[most] ? other : most));
  const share = `${sizes[field]} of ${total} bytes of the service's lists`;
  return { field, message: `${share}: ${MAX_SERVICE_BYTES} are allowed; divide it into several services` };
}

/** null: not too many. */
export function findPortExcess(ranges: readonly Pick<PortRange, "count" | "sni">[]): string | null {
  const ports = ranges.reduce((sum, { count }) => sum + count, 0);
  if (ports > MAX_PORTS_PER_SERVICE) return `${ports} ports: a service has at most ${MAX_PORTS_PER_SERVICE}`;
  const names = ranges.reduce((sum, { count, sni = [] }) => sum + count * sni.length, 0);
  return names > MAX_SERVER_NAMES
    ? `${names} server names over all ports: a service has at most ${MAX_SERVER_NAMES}`
    : null;
}

/** null: every protocol and published port is there once. */
export function findRepeatedPort(ranges: readonly PortRange[]): string | null {
  const ends: Record<Protocol, number> = { tcp: 0, udp: 0 };
  for (const { protocol, published, count } of ranges.toSorted((a, b) => a.published - b.published)) {
    if (published <= ends[protocol]) return `${published}/${protocol} is published twice`;
    ends[protocol] = published + count - 1;
  }
  return null;
}

function publishBytes(ports: Lists["publish"]): number {
  return collapsePorts(ports).reduce((sum, { sni = [] }) => sum + PORT_RUN_BYTES + listBytes(sni), 0);
}

function listBytes(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + text.length + 3, 0);
}
