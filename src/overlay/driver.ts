/**
 * The drivers of the overlay, this node's end and its peers, as drivers take them.
 *
 * Plain, structured-cloneable values: a driver may run in its own thread.
 */

/** `kernel`: a VXLAN device; `userspace`: TUN and our own VXLAN or seals; `none`: relays over the nodes' own addresses. */
export type DriverName = "kernel" | "userspace" | "none";

/** Where a node accepts relays inside the overlay, and where their replies come from. */
export interface RelayPorts {
  readonly tcp: number;
  /** Of relays and of probes. */
  readonly udp: readonly number[];
}

/** This node's end. */
export interface OverlayEnd {
  /** Its overlay address, IPv4. */
  readonly address: string;
  /** Of overlay.subnet. */
  readonly prefixLength: number;
  /** VXLAN network identifier, 24 bits. */
  readonly vni: number;
  /** UDP port of the overlay. */
  readonly port: number;
  /** What the socket binds to: a literal address of this node, or the wildcard of its family. */
  readonly underlayAddress: string;
  /** Name of the network interface. */
  readonly device: string;
  /** Of this node, where it takes nothing in clear but relays, which are sealed; absent: all that members send. */
  readonly relaysOnly?: RelayPorts;
}

/** Another node, as a driver needs it. Unique by name and by overlayAddress. */
export interface OverlayPeer {
  readonly name: string;
  /** IPv4, of the overlay subnet. */
  readonly overlayAddress: string;
  /** Literal IPv4 or IPv6 address where its overlay port is. */
  readonly underlayAddress: string;
  /** Of its overlay, UDP. */
  readonly port: number;
  /** Absent: it has no relay. */
  readonly relayPorts?: RelayPorts;
  /**
   * Hex of 32 bytes each: secrets that only this pair has, one for each key of the cluster; the first is for sending,
   * all are for receiving. null: frames to and from it are plain VXLAN.
   */
  readonly secrets: readonly string[] | null;
}
