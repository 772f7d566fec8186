/** What the kernel refuses, as errors that say what to grant or to change and who is in the way. */
import { EADDRINUSE, EEXIST, EOPNOTSUPP, EPERM } from "../../sys/errno.ts";
import { findUdpPortOwner } from "../../sys/port-owner.ts";
import type { OverlayEnd } from "../driver.ts";
import { OverlayError } from "../overlay-error.ts";
import { type Link, listLinks, NetlinkError, type NetlinkSession } from "../rtnetlink/index.ts";

/** Returns errors other than NetlinkError unchanged. */
export function explain(error: unknown, session: NetlinkSession, end: OverlayEnd): unknown {
  if (!(error instanceof NetlinkError)) return error;
  const options = { cause: error };
  switch (error.errnoValue) {
    case EPERM:
      return new OverlayError("not-permitted", notPermitted(end), options);
    case EOPNOTSUPP:
      return new OverlayError("unsupported", unsupported(end), options);
    case EEXIST:
      return new OverlayError("vni-taken", vniTaken(session, end), options);
    case EADDRINUSE:
      return new OverlayError("port-taken", portTaken(session, end), options);
    default:
      return new OverlayError("refused", `cannot set up ${end.device}: ${error.message}`, options);
  }
}

export function deviceTaken({ device }: OverlayEnd, link: Link): OverlayError {
  const message =
    `cannot create ${device}: ${describe(link)} has that name and is not this node's; ` +
    `remove it (ip link delete ${link.name}) or set another overlay.port, which is part of the name`;
  return new OverlayError("device-taken", message);
}

export function filterUnsupported({ device }: OverlayEnd, cause: NetlinkError): OverlayError {
  const message =
    `cannot filter frames on ${device}: this kernel has no traffic control filters (${cause.message}); ` +
    "load the modules (modprobe sch_ingress cls_bpf) or set overlay.driver " +
    'to "userspace" or "none"';
  return new OverlayError("unsupported", message, { cause });
}

export function subnetTaken({ device, address, prefixLength }: OverlayEnd, clash: string): OverlayError {
  const message =
    `cannot assign ${address}/${prefixLength} to ${device}: ${clash} is in the same subnet; ` +
    "set another overlay.subnet on all nodes, or remove it";
  return new OverlayError("subnet-taken", message);
}

function notPermitted({ device }: OverlayEnd): string {
  return (
    `cannot create ${device}: CAP_NET_ADMIN is missing; run as root, grant it ` +
    "(AmbientCapabilities=CAP_NET_ADMIN in the unit, --cap-add NET_ADMIN for the container), " +
    'or set overlay.driver = "none"'
  );
}

function unsupported({ device }: OverlayEnd): string {
  return (
    `cannot create ${device}: this kernel has no VXLAN; load the module (modprobe vxlan) ` +
    'or set overlay.driver = "userspace" or "none"'
  );
}

function vniTaken(session: NetlinkSession, { device, vni, port }: OverlayEnd): string {
  const owner = listLinks(session).find(({ vxlan }) => vxlan?.vni === vni && vxlan.port === port);
  const who = owner === undefined ? "an interface in another network namespace" : describe(owner);
  return (
    `cannot create ${device}: ${who} has VNI ${vni} on UDP port ${port}; ` +
    "set another overlay.vni on all nodes, or another overlay.port here"
  );
}

function portTaken(session: NetlinkSession, { device, port }: OverlayEnd): string {
  return (
    `cannot use UDP port ${port} for ${device}: ${portHolder(session, device, port)} uses it; ` +
    "stop it or set another overlay.port"
  );
}

function portHolder(session: NetlinkSession, device: string, port: number): string {
  const socket = findUdpPortOwner(port);
  if (socket?.process) return `process ${socket.process.pid} (${socket.process.name})`;
  const other = listLinks(session).find(({ name, vxlan }) => name !== device && vxlan?.port === port);
  if (other !== undefined) return describe(other);
  return "a process or interface that is not visible from here (another network namespace)";
}

/** `vxlan interface their0, marked "portmesh prod/n2"` */
function describe({ name, alias, kind }: Link): string {
  return `${kind} interface ${name}${alias === "" ? "" : `, marked "${alias}",`}`.trimStart();
}
