/** What a proxy says of itself, for tests: all is well but for what the test changes. */
import type { PeerStatus, ProxyStatus, ServiceStatus, TaskStatus } from "../../../src/proxy/index.ts";

export function proxyStatus(...services: readonly ServiceStatus[]): ProxyStatus {
  return {
    workers: 1,
    workersOutOfDescriptors: 0,
    sourcePorts: { low: 32_768, high: 60_999, forSessions: 24_703, leftToHost: 3_529 },
    relay: { connectionsRefusedTotal: {}, datagramsDroppedTotal: {} },
    peers: [],
    services,
  };
}

export function serviceStatus(name: string, rest: Partial<ServiceStatus> = {}): ServiceStatus {
  const udp = {
    openSessions: 0,
    sessionsTotal: 0,
    datagramsInTotal: 0,
    datagramsOutTotal: 0,
    bytesInTotal: 0,
    bytesOutTotal: 0,
  };
  return {
    name,
    ports: [],
    tasks: [],
    tcp: {
      openConnections: 0,
      acceptedTotal: 0,
      relayedOpen: 0,
      relayedTotal: 0,
      bytesInTotal: 0,
      bytesOutTotal: 0,
    },
    udp,
    relayedUdp: udp,
    refusedTotal: {},
    ...rest,
  };
}

export function taskStatus(name: string, rest: Partial<TaskStatus> = {}): TaskStatus {
  return {
    name,
    node: null,
    address: name,
    port: null,
    weight: 1,
    state: "active",
    openConnections: 0,
    connectionsTotal: 0,
    connectFailuresTotal: 0,
    lastError: null,
    ...rest,
  };
}

export function peerStatus(name: string, rest: Partial<PeerStatus> = {}): PeerStatus {
  return { name, address: "10.0.0.2", port: 4789, isReachable: true, rttMs: null, failuresTotal: 0, ...rest };
}
