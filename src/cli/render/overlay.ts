/** The overlay as `status` shows it: this node's end, then how each other node is reached. */
import type { OverlayPeerStatus, OverlayStatus } from "../../node/index.ts";
import { formatAge, formatCounts } from "./format.ts";
import { type Column, renderNote, renderTable } from "./table.ts";

const COLUMNS: readonly Column[] = [
  { title: "NODE" },
  { title: "DRIVER" },
  { title: "ADDRESS" },
  { title: "PATH" },
  { title: "ENCRYPTED" },
  { title: "KEY AGE", isNumber: true },
  { title: "MTU", isNumber: true },
  { title: "RTT", isNumber: true },
  { title: "LOSS", isNumber: true },
  { title: "REJECTED" },
];
const ENCRYPTED = { frames: "frames", relay: "relays", none: "NO" } as const;

export function renderOverlay(overlay: OverlayStatus): string[] {
  const { peers, passedOver, problems, rejectedTotal } = overlay;
  const rejected = formatCounts(rejectedTotal);
  return [
    renderEnd(overlay),
    ...problems.flatMap(({ message, fix }) => renderNote("PROBLEM: ", `${message}; ${fix}`, "  ")),
    ...passedOver.flatMap(({ name, reason }) => renderNote(`no ${name} driver: `, reason, "  ")),
    ...(peers.length === 0 ? [] : renderTable(COLUMNS, peers.map(peerRow), "  ")),
    ...peers.flatMap(renderProblem),
    ...(rejected === "" ? [] : renderNote("frames from unknown senders dropped: ", rejected, "  ")),
  ];
}

function renderEnd({ driver, address, device, port, vni, encrypt }: OverlayStatus): string {
  const how = encrypt ? "encrypted" : "not encrypted";
  if (address === null) return `overlay none  relays use node addresses, ${how}`;
  return `overlay ${driver}  ${address} on ${device}, VNI ${vni}, port ${port}/udp, ${how}`;
}

function peerRow(peer: OverlayPeerStatus): string[] {
  const { keyAgeMs, mtuBytes, rttMs, loss } = peer;
  return [
    peer.node,
    peer.driver ?? "-",
    peer.address ?? "-",
    peer.path,
    ENCRYPTED[peer.encryption],
    keyAgeMs === null ? "-" : formatAge(keyAgeMs),
    mtuBytes === null ? "-" : String(mtuBytes),
    rttMs === null ? "-" : `${rttMs.toFixed(1)}ms`,
    loss === null ? "-" : `${(loss * 100).toFixed(1)}%`,
    formatCounts(peer.rejectedTotal) || "-",
  ];
}

function renderProblem({ node, problem, notes }: OverlayPeerStatus): string[] {
  return [...(problem === null ? [] : [problem]), ...notes].flatMap((text) =>
    renderNote(`${node}: `, text, "  "),
  );
}
