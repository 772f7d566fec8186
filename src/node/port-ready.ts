/**
 * Whether this node can serve clients of a port: for load balancers in front, which ask every second or so. Pure. A port is
 * ready when it is listened on and a task of it is used.
 */
import type { TraceCandidate } from "../admin/index.ts";
import type { Protocol } from "../model/index.ts";
import type { ServiceStatus } from "../proxy/index.ts";
import { type TraceInput, traceRoute } from "./trace.ts";

/** null: it can. */
export function whyPortNotReady(protocol: Protocol, port: number, sources: TraceInput): string | null {
  const { services } = traceRoute({ protocol, port, client: null }, sources);
  const name = `${port}/${protocol}`;
  if (services.length === 0) return `no service publishes ${name}`;
  const reasons = services.map((service) => {
    if (service.listeners.length === 0) return `this node does not listen on ${name}`;
    const status = sources.proxy.services.find((each) => each.name === service.service);
    const closed = whyClosed(status, protocol, port);
    if (closed !== null) return closed;
    const isServed = service.candidates.some(isUsed);
    return isServed ? null : `no task of service "${service.service}" is available`;
  });
  return reasons.includes(null) ? null : reasons[0]!;
}

/** Unhealthy ones are used when no task is healthy (panic). */
function isUsed({ state, passedOver }: TraceCandidate): boolean {
  return state === "active" || (state === "unhealthy" && passedOver === null);
}

function whyClosed(service: ServiceStatus | undefined, protocol: Protocol, published: number): string | null {
  const port = service?.ports.find((each) => each.protocol === protocol && each.published === published);
  if (port === undefined) return `this node does not listen on ${published}/${protocol}`;
  if (port.isClosed) return `${published}/${protocol} is closed: no task is reachable`;
  const isOpen = port.listeners.some(({ error }) => error === null);
  return isOpen
    ? null
    : (port.listeners[0]?.error ?? `this node does not listen on ${published}/${protocol}`);
}
