/** The status of the proxy: plain values, summed over the workers when it is read. */
import type { Protocol } from "../../model/index.ts";
import type { LeftAddress } from "./routing-table.ts";
import type { SourcePortStatus } from "./source-ports.ts";

export interface ProxyStatus {
  readonly workers: number;
  /** Workers that have paused accepting because descriptors ran out. */
  readonly workersOutOfDescriptors: number;
  /** Clients served without their limits per client, because too many others had connections; absent: none. */
  readonly untrackedClientsTotal?: number;
  /** Where UDP sessions leave from. */
  readonly sourcePorts: SourcePortStatus;
  readonly relay: RelayStatus;
  /** The nodes that run tasks of the services, by name. */
  readonly peers: readonly PeerStatus[];
  readonly services: readonly ServiceStatus[];
}

export interface PeerStatus {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** false: it is silent, or its relay cannot be reached; its tasks are passed over while there are others. */
  readonly isReachable: boolean;
  /** Of the last heartbeat that came back; null: none has yet. */
  readonly rttMs: number | null;
  /** Connections to its tasks that failed before the task was asked. */
  readonly failuresTotal: number;
}

export interface RelayStatus {
  /** Relay connections from other nodes that were refused, by reason; only reasons that have occurred. */
  readonly connectionsRefusedTotal: Readonly<Record<string, number>>;
  /** Datagrams between nodes that came to nothing, by reason; only reasons that have occurred. */
  readonly datagramsDroppedTotal: Readonly<Record<string, number>>;
}

export interface ServiceStatus {
  readonly name: string;
  readonly ports: readonly PortStatus[];
  readonly tasks: readonly TaskStatus[];
  readonly tcp: {
    readonly openConnections: number;
    readonly acceptedTotal: number;
    /** Connections to tasks of this node whose clients another node has accepted, and counts. */
    readonly relayedOpen: number;
    readonly relayedTotal: number;
    readonly bytesInTotal: number;
    readonly bytesOutTotal: number;
  };
  readonly udp: UdpCounts;
  /** Sessions with tasks of this node whose clients another node has accepted; not in `udp`. */
  readonly relayedUdp: UdpCounts;
  /** Of a service with limits per client: those refused most, then those with most open; at most ten. */
  readonly topClients?: readonly ClientStatus[];
  /** Connections refused or broken and datagrams dropped, by reason; only reasons that have occurred. */
  readonly refusedTotal: Readonly<Record<string, number>>;
}

/** One client on this node, as long as it is known: a new one takes the place of the one without clients for longest. */
export interface ClientStatus {
  /** "192.0.2.1", or with a prefix length "2001:db8::/64". */
  readonly client: string;
  readonly protocol: Protocol;
  /** Its TCP connections or UDP sessions. */
  readonly open: number;
  /** Its connections refused, or datagrams dropped, by the limits per client. */
  readonly refusedTotal: number;
}

/** "In" is from clients to tasks. */
export interface UdpCounts {
  readonly openSessions: number;
  readonly sessionsTotal: number;
  readonly datagramsInTotal: number;
  readonly datagramsOutTotal: number;
  readonly bytesInTotal: number;
  readonly bytesOutTotal: number;
}

export interface PortStatus {
  readonly protocol: Protocol;
  readonly published: number;
  readonly target: number;
  /** Its server names; absent: the clients that no other service of the port has by name. */
  readonly sni?: readonly string[];
  /** No task is reachable: nothing listens, and clients are refused. */
  readonly isClosed?: boolean;
  readonly listeners: readonly ListenerStatus[];
  /** Addresses that are not listened on, because a task of this node has this port there. */
  readonly leftToTasks?: readonly LeftAddress[];
}

export interface ListenerStatus {
  readonly address: string;
  /** null: listening. Else the reason, with the fix where one is known; it is retried. */
  readonly error: string | null;
}

export interface TaskStatus {
  readonly name: string;
  /** The node that runs it; null: this one. */
  readonly node: string | null;
  readonly address: string;
  readonly port: number | null;
  readonly weight: number;
  readonly isBackup?: boolean;
  /**
   * `failing`: the last connect of a worker failed, less than a minute ago; it is tried again after a short pause, or
   * when no other is left. `loop`: it leads back to a port it serves, which sends no client there.
   */
  readonly state: "active" | "draining" | "failing" | "loop";
  /** Of state `loop`: the path back to the port, "8080/tcp -> 192.0.2.2:8080 (web on n2)". */
  readonly loop?: string;
  readonly openConnections: number;
  readonly connectionsTotal: number;
  readonly connectFailuresTotal: number;
  readonly lastError: { readonly message: string; readonly at: number } | null;
}
