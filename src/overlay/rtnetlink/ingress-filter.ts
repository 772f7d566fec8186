/**
 * A filter of what an interface receives, before anything else of the kernel sees it: a program of classic BPF on the
 * ingress queue. It goes with the interface and stays when the process ends. [tc(8), tc-bpf(8)]
 *
 * Rules of nftables would do the same, but a firewall that is loaded again begins with `flush ruleset`.
 */
import { EEXIST, EINVAL, ENOENT } from "../../sys/errno.ts";
import {
  decodeTrafficMessage,
  ETH_P_ALL,
  encodeTrafficMessage,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RTM_GETQDISC,
  RTM_GETTFILTER,
  RTM_NEWQDISC,
  RTM_NEWTFILTER,
  TC_H_INGRESS,
  TC_H_INGRESS_FILTERS,
  TC_H_INGRESS_QUEUE,
  type TrafficMessage,
} from "../../wire/netlink/index.ts";
import { NetlinkError } from "./netlink-error.ts";
import type { NetlinkSession } from "./netlink-session.ts";

/** What a program returns. [linux/pkt_cls.h] */
export const ACCEPT_FRAME = 0;
export const DROP_FRAME = 2;

const PRIORITY = 1;
const HANDLE = 1;

/** Takes the place of the one before in one step. ENOENT and EOPNOTSUPP: the kernel has no such filters. */
export function setIngressFilter(session: NetlinkSession, interfaceIndex: number, program: Uint8Array): void {
  addQueue(session, interfaceIndex);
  const filter = { interfaceIndex, handle: HANDLE, parent: TC_H_INGRESS_FILTERS, priority: PRIORITY };
  const request = encodeTrafficMessage({ ...filter, protocol: ETH_P_ALL, kind: "bpf", program });
  session.change("set the ingress filter", RTM_NEWTFILTER, NLM_F_CREATE, request);
}

/** Its program; null: there is none. */
export function readIngressFilter(session: NetlinkSession, interfaceIndex: number): Uint8Array | null {
  const request = encodeTrafficMessage({ interfaceIndex, handle: 0, parent: TC_H_INGRESS_FILTERS });
  const filter = list(session, "list filters", RTM_GETTFILTER, request).find(
    ({ handle, priority, program }) => handle === HANDLE && priority === PRIORITY && program !== undefined,
  );
  return filter?.program ?? null;
}

/** Frames that it has dropped since the interface was made. */
export function countFiltered(session: NetlinkSession, interfaceIndex: number): number {
  const request = encodeTrafficMessage({ interfaceIndex, handle: 0, parent: 0 });
  const queue = list(session, "list queues", RTM_GETQDISC, request).find(
    (entry) => entry.interfaceIndex === interfaceIndex && entry.parent === TC_H_INGRESS,
  );
  return queue?.drops ?? 0;
}

/** One that is there already is fine. */
function addQueue(session: NetlinkSession, interfaceIndex: number): void {
  const queue = { interfaceIndex, handle: TC_H_INGRESS_QUEUE, parent: TC_H_INGRESS, kind: "ingress" };
  try {
    const request = encodeTrafficMessage(queue);
    session.change("set the ingress filter", RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, request);
  } catch (error) {
    if (!(error instanceof NetlinkError && error.errnoValue === EEXIST)) throw error;
  }
}

/** An interface without the queue has none. */
function list(session: NetlinkSession, what: string, type: number, request: Uint8Array): TrafficMessage[] {
  try {
    return session.dump(what, type, request).flatMap((payload) => decodeTrafficMessage(payload) ?? []);
  } catch (error) {
    if (error instanceof NetlinkError && [EINVAL, ENOENT].includes(error.errnoValue)) return [];
    throw error;
  }
}
