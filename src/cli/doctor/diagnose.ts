/**
 * Diagnoses a node from its status: every finding with its fix. Pure.
 *
 * This file covers the configuration file and the paths between nodes: membership, relays, the overlay.
 */
import { formatProblem } from "../../config/index.ts";
import type {
  ClusterStatus,
  NodeStatus,
  OverlayPeerStatus,
  OverlayStatus,
  PeerPorts,
} from "../../node/index.ts";
import { formatCount, formatCounts } from "../render/format.ts";
import { diagnosePorts } from "./diagnose-ports.ts";
import { FAMILY_FIX, type Finding } from "./finding.ts";

/** Below it IPv6 cannot be carried [RFC 8200 §5], and much else suffers. */
const LEAST_MTU = 1280;
/** More than that halves a TCP connection's rate within one network. */
const MUCH_LOSS = 0.005;

/** @param ports between this node and each other; null: they have not been tested */
export function diagnose(status: NodeStatus, ports: readonly PeerPorts[] | null): Finding[] {
  const { cluster, overlay, config } = status;
  if (cluster === null || overlay === null)
    return [...diagnoseFile(config), pass("cluster", "this node is not part of a cluster")];
  return [
    ...diagnoseFile(config),
    ...diagnoseAddress(status),
    ...diagnoseKeys(cluster),
    ...diagnoseMembers(cluster),
    ...(ports === null
      ? [NOT_TESTED]
      : diagnosePorts(relevant(ports, overlay), portsOf(status.node, cluster))),
    ...diagnoseRelay(status),
    diagnoseDriver(overlay),
    ...overlay.problems.map(({ message, fix }) => finding("overlay", "fail", message, fix)),
    diagnoseEncryption(overlay),
    ...overlay.peers.flatMap((peer) => diagnosePeer(peer, overlay, portsTo(peer.node, ports))),
    ...diagnoseStrangers(overlay),
  ];
}

const NOT_TESTED: Finding = {
  about: "ports",
  level: "warn",
  message: "not tested: this node runs an older version than this command",
  fix: "restart the node with this version",
};

function portsTo(node: string, ports: readonly PeerPorts[] | null): PeerPorts | null {
  return ports?.find((peer) => peer.node === node) ?? null;
}

function portsOf(
  self: string,
  { members }: ClusterStatus,
): { self: string; addressOf: (node: string) => string } {
  const hosts = new Map(members.map(({ name, address }) => [name, hostText(address ?? name)]));
  return { self, addressOf: (node) => hosts.get(node) ?? node };
}

/** "192.0.2.10" of "192.0.2.10:7946" */
function hostText(address: string): string {
  const host = address.slice(0, address.lastIndexOf(":"));
  return host.startsWith("[") ? host.slice(1, -1) : host;
}

/** Where an end of the overlay is broken its packets go nowhere, which says nothing about firewalls. */
function relevant(ports: readonly PeerPorts[], { problems }: OverlayStatus): PeerPorts[] {
  return ports.map((peer) => {
    if (problems.length === 0 && peer.problems.length === 0) return peer;
    const isOutside = ({ kind, isInside }: PeerPorts["tests"][number]) => !isInside && kind !== "overlay";
    return { ...peer, tests: peer.tests.filter(isOutside) };
  });
}

function diagnoseAddress({ addressProblem }: NodeStatus): Finding[] {
  if (addressProblem === null) return [];
  const [problem, fix] = addressProblem.split("; ", 2);
  return [
    finding("address", "fail", problem!, fix ?? "check the interface with `ip address` and `ip route`"),
  ];
}

/** A node that keeps an older configuration than the others explains much of what is wrong between them. */
function diagnoseFile({ lastReload, file }: NodeStatus["config"]): Finding[] {
  if (lastReload?.outcome !== "refused") return [];
  const [first] = lastReload.problems;
  const message = `the last reload was refused; the previous configuration is in use${first === undefined ? "" : `: ${formatProblem(first)}`}`;
  return [finding("config", "fail", message, `\`portmesh check -c ${file}\` lists all problems of the file`)];
}

/** A wrong key looks like a silent node to gossip. */
function diagnoseKeys({ gossip, members }: ClusterStatus): Finding[] {
  return (gossip.keyTrouble ?? []).map(({ from, reason }) => {
    const name = members.find(({ address }) => isAt(address, from))?.name ?? from;
    return finding(`keys ${name}`, "fail", `${from} ${KEY_REASONS[reason]}`, KEYS_FIX);
  });
}

const KEY_REASONS = {
  "cannot-decrypt": "encrypts gossip with a key that this node does not have",
  "not-encrypted": "does not encrypt gossip, but this node does",
  encrypted: "encrypts gossip, but this node has no keys",
};
const KEYS_FIX =
  "compare cluster.keys on both nodes: add the missing key to the file of every node and reload, before removing the old one";

function isAt(address: string | null, host: string): boolean {
  return address !== null && [host, `[${host}]`].includes(address.slice(0, address.lastIndexOf(":")));
}

function noSeed(seeds: readonly string[]): Finding {
  return finding(
    "gossip",
    "fail",
    `this node is alone: no answer from ${seeds.join(", ")} (cluster.join)`,
    "check the addresses and ports in cluster.join, and that portmesh runs there; open the gossip port, TCP and UDP, in both directions",
  );
}

function diagnoseMembers({ members, gossip }: ClusterStatus): Finding[] {
  const hasOtherKey = (address: string | null) =>
    (gossip.keyTrouble ?? []).some(({ from }) => isAt(address, from)); // reported already
  const failed = members.filter(
    ({ state, address }) => (state === "failed" || state === "suspect") && !hasOtherKey(address),
  );
  const { silentSeeds = [] } = gossip;
  if (failed.length === 0 && silentSeeds.length > 0 && (gossip.keyTrouble ?? []).length === 0)
    return [noSeed(silentSeeds)];
  if (failed.length === 0 && members.some(({ address }) => hasOtherKey(address))) return [];
  if (failed.length === 0) return [pass("gossip", `${formatCount(members.length, "node")}, all alive`)];
  return failed.map(({ name, state, address }) =>
    finding(
      `gossip ${name}`,
      "fail",
      `${state}: no answer from ${address}`,
      "check that it is running; open the gossip port, TCP and UDP, in both directions (`ports` lists closed ones); if it is gone for good, run `portmesh node forget`",
    ),
  );
}

function diagnoseRelay({ proxy, overlay }: NodeStatus): Finding[] {
  const silent = proxy.peers.filter(({ isReachable }) => !isReachable);
  if (silent.length === 0)
    return [
      pass("relay", proxy.peers.length === 0 ? "no other node has tasks" : allAnswer(proxy.peers.length)),
    ];
  return silent.map(({ name, address, port }) =>
    finding(
      `relay ${name}`,
      "fail",
      `no answer from ${address} port ${port}: its tasks get no connections from this node`,
      `check that it is running; open ${overlay?.port ?? port}/tcp and /udp between the nodes, in both directions (\`ports\` lists closed ones)`,
    ),
  );
}

function allAnswer(nodeCount: number): string {
  return `${formatCount(nodeCount, "other node")} with tasks, all answer`;
}

function diagnoseDriver({ driver, wanted, address, device, passedOver }: OverlayStatus): Finding {
  const runs = address === null ? "driver none" : `driver ${driver}, ${address} on ${device}`;
  const [missed] = passedOver;
  if (missed === undefined || wanted !== "auto") return pass("overlay", runs);
  const fix = `provide what is missing, or set overlay.driver = "${driver}" to accept this`;
  return finding("overlay", "warn", `${runs}; cannot use driver ${missed.name}: ${missed.reason}`, fix);
}

function diagnoseEncryption({ encrypt, libcrypto, peers }: OverlayStatus): Finding {
  const clear = peers.filter(({ encryption }) => encryption === "none").map(({ node }) => node);
  if (encrypt && clear.length === 0)
    return pass("encryption", `all traffic to other nodes is encrypted; ${libcrypto ?? NO_LIBCRYPTO}`);
  const to = clear.length === 0 ? "other nodes" : clear.join(", ");
  return finding("encryption", "warn", `traffic to ${to} is not encrypted`, SET_KEYS);
}

const NO_LIBCRYPTO = "libcrypto (OpenSSL 3 or 1.1) not found: short messages cost more CPU";
const SET_KEYS = "set cluster.keys to what `portmesh keygen` prints, and remove overlay.encrypt = false";

function diagnosePeer(peer: OverlayPeerStatus, overlay: OverlayStatus, ports: PeerPorts | null): Finding[] {
  const { node, path, problem, problemKind, mtuBytes, loss, rejectedTotal, notes } = peer;
  const about = `overlay ${node}`;
  const findings: Finding[] = [];
  if (problem !== null) {
    const { level, cause, fix } = causeOf(peer, overlay, ports);
    findings.push(finding(about, level, cause === null ? problem : `${problem}: ${cause}`, fix));
  }
  const [there] = ports?.problems ?? [];
  if (there !== undefined && problemKind !== "silent")
    findings.push(
      finding(about, "fail", `on ${node}: ${there}`, `run \`portmesh doctor\` on ${node} for the fix`),
    );
  if (path === "direct")
    findings.push(
      ...notes.map((note) =>
        finding(about, "warn", note, "check `ip route` here and [overlay] on the other node"),
      ),
    );
  if (mtuBytes !== null && mtuBytes < LEAST_MTU)
    findings.push(
      finding(
        about,
        "warn",
        `only packets of at most ${mtuBytes} bytes arrive`,
        "raise the MTU of the network between the nodes; nested tunnels are a common cause",
      ),
    );
  if (loss !== null && loss > MUCH_LOSS)
    findings.push(
      finding(
        about,
        "warn",
        `${(loss * 100).toFixed(1)} % of the packets sent to it are lost`,
        "check the network between the nodes",
      ),
    );
  const rejected = formatCounts(rejectedTotal);
  if (rejected !== "")
    findings.push(finding(about, "warn", `packets dropped here: ${rejected}`, REASONS_FIX));
  return findings.length > 0
    ? findings
    : [pass(about, `reached ${path === "overlay" ? "over the overlay" : "at its node address"}`)];
}

interface Cause {
  readonly level: "warn" | "fail";
  /** null: the problem says it. */
  readonly cause: string | null;
  readonly fix: string;
}

/** Why the overlay is not used with a node although both have one. */
function causeOf(
  { node, problemKind }: OverlayPeerStatus,
  { port, problems }: OverlayStatus,
  ports: PeerPorts | null,
): Cause {
  const meanwhile = `until then relays use ${port}/tcp`;
  if (problemKind === "family") return { level: "warn", cause: null, fix: FAMILY_FIX };
  if (problemKind !== "silent")
    return { level: "warn", cause: null, fix: "use the same [overlay] settings on both nodes" };
  if (problems.length > 0)
    return {
      level: "fail",
      cause: problems[0]!.message,
      fix: `repair this node first: ${problems[0]!.fix}`,
    };
  const [there] = ports?.problems ?? [];
  if (there !== undefined)
    return {
      level: "fail",
      cause: `on ${node}: ${there}`,
      fix: `run \`portmesh doctor\` on ${node} for the fix`,
    };
  const closed = (ports?.tests ?? []).filter(
    ({ kind, outcome }) =>
      (kind === "overlay" || kind === "echo") && outcome !== "open" && outcome !== "not-tested",
  );
  if (closed.length === 0)
    return {
      level: "fail",
      cause: null,
      fix: `open ${port}/udp between the nodes, in both directions; ${meanwhile}`,
    };
  const which = closed
    .map((test) => `${test.port}/${test.protocol} from ${test.from} to ${test.to}`)
    .join(", ");
  return {
    level: "fail",
    cause: `closed: ${which}`,
    fix: `open ${which}: see \`ports ${node}\`; ${meanwhile}`,
  };
}

const REASONS_FIX =
  "a few after a restart or a key change are harmless; if the count grows, compare cluster.keys and clocks, and check for forged packets";

function diagnoseStrangers({ rejectedTotal }: OverlayStatus): Finding[] {
  const rejected = formatCounts(rejectedTotal);
  if (rejected === "") return [];
  const fix =
    "find the sender (another VXLAN, a node that has left, a scanner) and allow only the nodes in the firewall";
  return [finding("overlay", "warn", `frames from unknown senders dropped: ${rejected}`, fix)];
}

function pass(about: string, message: string): Finding {
  return { about, level: "pass", message, fix: null };
}

function finding(about: string, level: "warn" | "fail", message: string, fix: string): Finding {
  return { about, level, message, fix };
}
