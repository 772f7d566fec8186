/** What an overlay says of itself, for tests: all is well but for what the test changes. */
import type { OverlayPeerStatus, OverlayStatus } from "../../../src/node/index.ts";

export function overlayStatus(changes: Partial<OverlayStatus> = {}): OverlayStatus {
  return {
    driver: "userspace",
    wanted: "auto",
    passedOver: [],
    address: "10.200.3.4",
    device: "portmesh4789",
    port: 4789,
    vni: 4096,
    subnet: "10.200.0.0/16",
    encrypt: true,
    libcrypto: "OpenSSL 3.0.17",
    problems: [],
    peers: [],
    rejectedTotal: {},
    ...changes,
  };
}

export function overlayPeer(node: string, changes: Partial<OverlayPeerStatus> = {}): OverlayPeerStatus {
  return {
    node,
    driver: "userspace",
    address: "10.200.9.9",
    path: "overlay",
    encryption: "frames",
    problem: null,
    problemKind: null,
    keyAgeMs: 65_000,
    mtuBytes: 1422,
    rttMs: 0.42,
    loss: 0,
    rejectedTotal: {},
    notes: [],
    ...changes,
  };
}

/** A node that has no driver. */
export const DIRECT = {
  driver: "none",
  address: null,
  path: "direct",
  encryption: "relay",
  keyAgeMs: null,
  mtuBytes: null,
  rttMs: null,
  loss: null,
} as const;
