/**
 * The routing table: everything the proxy needs to know to serve published ports, and nothing else.
 *
 * It is immutable and structured-cloneable. The node builds a new one for every change; the proxy compares it with the
 * table it runs and changes only what differs.
 * Names have been resolved, port ranges expanded and `bind` rules turned into addresses before it gets here.
 */
import type { PortSpec, Protocol, ServiceTask, TrafficRules } from "../../model/index.ts";
import type { Distance } from "../balance/index.ts";
import type { AcceptsClear } from "../relay/clear-rule.ts";

export type { Distance };

export interface RoutingTable {
  /** Unique by name. No two services listen on the same protocol, address and port. */
  readonly services: readonly Service[];
  /** The other nodes that run tasks of these services; unique by name. */
  readonly peers: readonly Peer[];
  /** null: this node relays nothing in either direction. */
  readonly relay: Relay | null;
  /** Addresses of this machine without zone, where a listener at a wildcard address is reached. [] while no UDP port is published. */
  readonly localAddresses: readonly string[];
  /** Where other nodes listen on published UDP ports. */
  readonly otherUdpListeners: readonly UdpListeners[];
}

/** Every one of the ports is listened on at every one of the addresses. */
export interface UdpListeners {
  /** Literal addresses or CIDR prefixes. */
  readonly addresses: readonly string[];
  readonly ports: readonly number[];
}

/** Another node, as the relay reaches it. */
export interface Peer {
  readonly name: string;
  /** Literal IP address of its relay. */
  readonly address: string;
  /** TCP */
  readonly port: number;
  readonly udpPort: number;
  /**
   * Traffic to it is encrypted here. false: it is authenticated but readable, unless an overlay encrypts it.
   */
  readonly isSealed: boolean;
  /** `address` is that of the overlay. */
  readonly isOverlay?: boolean;
  /** Literal address that connections and datagrams to it leave from, while this machine has it; absent: any. */
  readonly source?: string;
  /** Its answers may take long: silence is forgiven for longer. */
  readonly isWan?: boolean;
}

/** This node's part of the relay. */
export interface Relay {
  /** Name of this node. */
  readonly node: string;
  /** Literal addresses to listen on: TCP, and UDP where it shares no port. */
  readonly listenAddresses: readonly string[];
  /** TCP */
  readonly port: number;
  readonly udpPort: number;
  /**
   * Where the node itself has a socket at udpPort, which takes all that is not for the relay (udp/relay/shared-port.ts):
   * UDP is listened to at these literal addresses, beside it. Absent: at listenAddresses, alone.
   */
  readonly sharedUdpAddresses?: readonly string[];
  /** UDP, at listenAddresses besides: nodes of an older version send there. */
  readonly formerUdpPort?: number;
  /** Hex of 32 bytes each: the first signs, all verify. Never empty; a cluster without keys has one made from its name. */
  readonly keys: readonly string[];
  /**
   * Where other nodes may come in clear: at all addresses, or at these literal ones of this node alone, such as that of
   * an overlay which encrypts; elsewhere what is not sealed is refused. Sealed is taken everywhere.
   */
  readonly acceptsClear: AcceptsClear;
}

export interface Service extends TrafficRules {
  readonly name: string;
  readonly ports: readonly PublishedPort[];
  readonly tasks: readonly Task[];
  /** Local addresses to listen on: literal IPs; "0.0.0.0" and "::" are the wildcards. */
  readonly listenAddresses: readonly string[];
}

export interface PublishedPort extends PortSpec {
  /** true: nothing listens, because no task is reachable. */
  readonly isClosed?: boolean;
  /** Where it is listened on, if not at all of its service's addresses. */
  readonly listenAddresses?: readonly string[];
  /** What it is not listened on for that reason. */
  readonly leftToTasks?: readonly LeftAddress[];
  /** Tasks that get no clients of this port: they lead back to it. */
  readonly loops?: readonly TaskLoop[];
}

/** A task whose address and port is, perhaps over other published ports, the published port itself. */
export interface TaskLoop {
  /** Name, node and address as in its Task. */
  readonly task: string;
  readonly node: string | null;
  readonly address: string;
  /** "8080/tcp -> 192.0.2.2:8080 (web on n2)" */
  readonly path: string;
}

/** An address that a task of this node has at a published port: the port is left to it there. */
export interface LeftAddress {
  readonly address: string;
  readonly service: string;
  /** Name of the task. */
  readonly task: string;
}

/** Where a task of this node is reached. */
export interface TaskEndpoint {
  readonly protocol: Protocol;
  /** Literal IP address. */
  readonly address: string;
  readonly port: number;
}

export interface Task extends Omit<ServiceTask, "host"> {
  /** The peer that runs it; null: this node. A relay's exit node connects to tasks of its own only. */
  readonly node: string | null;
  readonly distance: Distance;
  /** What source-hash goes by: the same on every node, and for all ports of the service. */
  readonly identity: string;
  /**
   * Literal IPv4 or IPv6 address; of another node's task what that node calls it, which may be a name: it is not
   * connected to from here. A name with several addresses is several tasks with one name.
   */
  readonly address: string;
  /** Its health check wants no new connections to it; open ones go on, UDP sessions move. Absent: false. */
  readonly isOutOfRotation?: boolean;
  /** Of its weight that counts now, 0..1; absent: all of it. */
  readonly share?: number;
}
