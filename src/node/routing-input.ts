/**
 * What this node knows of the cluster at one moment, as its routing needs it: plain values, nothing that changes under
 * the reader. Services that lost a port to an older one, tasks of nodes that drain, nodes that are gone: all of this
 * is resolved before.
 */
import type { Labels, ServiceSpec, ServiceTask } from "../model/index.ts";
import type { LocalAddress } from "../sys/local-addresses.ts";

export interface RoutingInput {
  /** Name and labels of this node. */
  readonly self: { readonly name: string; readonly labels: Labels };
  /** proxy.bind: for services without a bind of their own. */
  readonly bind: readonly string[];
  /** Unique by name; the order is the one of listings. */
  readonly services: readonly InputService[];
  /** Nodes other than this one whose tasks may be used; unique by name. */
  readonly peers: readonly InputPeer[];
  /** null: no other node can be reached. */
  readonly relay: InputRelay | null;
  /** Every live node as it announces itself, this one included if it does; unique by name. */
  readonly nodes: readonly InputNode[];
}

/** Where a node listens, and where its tasks lead. */
export interface InputNode {
  readonly name: string;
  readonly labels: Labels;
  /** proxy.bind */
  readonly bind: readonly string[];
  /** Of its interfaces; those with interface "" are where other nodes reach it. */
  readonly addresses: readonly LocalAddress[];
  /** Of tasks given by name that stand for an address of some node: all their addresses. */
  readonly taskAddresses: readonly (readonly [service: string, task: string, address: string])[];
  /** Where it has reported that it does not listen: "udp 0.0.0.0:53", "53-59/udp" of closed ports. */
  readonly notListening: readonly string[];
}

export interface InputService extends ServiceSpec {
  readonly name: string;
  /** "tcp 8080": published ports that belong to an older service. */
  readonly conflictingPorts: ReadonlySet<string>;
  /** Of this node and of the peers. */
  readonly tasks: readonly InputTask[];
}

export interface InputTask extends ServiceTask {
  /** The node that runs it. */
  readonly node: string;
  /** Its health check wants no new clients for it. */
  readonly isOutOfRotation?: boolean;
  /** Of its weight that counts now, 0..1; absent: all of it. */
  readonly share?: number;
}

export interface InputPeer {
  readonly name: string;
  readonly zone: string | null;
  /** Of its relay. */
  readonly address: string;
  /** TCP */
  readonly port: number;
  readonly udpPort: number;
  /** Relays to it are encrypted by the relay itself. */
  readonly isSealed: boolean;
  /** `address` is that of the overlay. */
  readonly isOverlay?: boolean;
  /** Address of this node that relays to it leave from; absent: any. */
  readonly source?: string;
}

export interface InputRelay {
  readonly listenAddresses: readonly string[];
  /** TCP */
  readonly port: number;
  readonly udpPort: number;
  /** Where the node itself has a socket at udpPort, which relays share; absent: nowhere. */
  readonly sharedUdpAddresses?: readonly string[];
  /** Where nodes of an older version send relays over UDP, while there are any. */
  readonly formerUdpPort?: number;
  /** Where relays in clear are taken: everywhere, or at these addresses only. */
  readonly acceptsClear: "always" | readonly string[];
  /** Hex of 32 bytes each; the first signs. */
  readonly keys: readonly string[];
  /** The cluster's nodes are far apart. */
  readonly isWan?: boolean;
}

export const ZONE_LABEL = "zone";

export function portKey(port: { readonly protocol: string; readonly published: number }): string {
  return `${port.protocol} ${port.published}`;
}
