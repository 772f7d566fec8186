/**
 * Diagnoses the port tests between nodes: every closed port, from where to where, and on which machine to open it.
 * Pure.
 */
import type { PeerPorts, PortTest } from "../../node/index.ts";
import { FAMILY_FIX, type Finding } from "./finding.ts";

export interface PortsOf {
  /** Name of this node. */
  readonly self: string;
  /** Addresses by name of the node, where it gossips; without port. */
  readonly addressOf: (node: string) => string;
}

/** The same closed port on this many nodes is one finding. */
const MANY = 2;

export function diagnosePorts(peers: readonly PeerPorts[], of: PortsOf): Finding[] {
  const everywhere = closedEverywhere(peers, of.self);
  const isTold = (test: PortTest) => everywhere.has(keyOf(test, of.self));
  return [
    ...[...everywhere.values()].map((test) => closedForAll(test, peers, of)),
    ...peers.flatMap((peer) => diagnosePeerPorts(peer, isTold, of)),
  ];
}

function diagnosePeerPorts(peer: PeerPorts, isTold: (test: PortTest) => boolean, of: PortsOf): Finding[] {
  const about = `ports ${peer.node}`;
  const { tests } = peer;
  const outward = tests.filter(({ from }) => from === of.self);
  if (isDead(outward, tests)) return [deadNode(peer, about)];
  const closed = tests.filter((test) => isClosed(test) && !isTold(test));
  const findings = closed.map(
    (test): Finding => ({ about, level: "fail", ...describe(test, of), tests: [test] }),
  );
  const open = tests.filter(isOpen);
  if (closed.length === 0 && open.length > 0)
    findings.push({ about, level: "pass", message: passed(peer, open, of.self), fix: null, tests });
  if (peer.notTested !== null && peer.isPortmesh)
    findings.push({
      about,
      level: "warn",
      message: `not tested from ${peer.node} to this node: ${peer.notTested}`,
      fix: `run \`portmesh doctor\` on ${peer.node}`,
      tests: [],
    });
  return [...findings, ...diagnoseSource(peer, about, of)];
}

function isOpen({ outcome }: PortTest): boolean {
  return outcome === "open";
}

function isClosed(test: PortTest): boolean {
  return !isOpen(test) && test.outcome !== "not-tested" && test.outcome !== "sent";
}

/** Nothing gets through to it, and nothing comes from it. */
function isDead(outward: readonly PortTest[], tests: readonly PortTest[]): boolean {
  const isSilent = ({ outcome }: PortTest) =>
    ["silent", "refused", "unreachable", "not-tested"].includes(outcome);
  return outward.length > 1 && outward.every(isSilent) && !tests.some(isOpen);
}

function deadNode({ node, address, tests }: PeerPorts, about: string): Finding {
  const ports = [...new Set(tests.map(portText))].join(", ");
  if (tests.some(({ outcome }) => outcome === "refused"))
    return {
      about,
      level: "fail",
      message: `${node} (${address}) refuses all of its ports: portmesh is not running, or a firewall rejects`,
      fix: `on ${node} (${address}) check that portmesh runs; if it does, open ${ports} in the input rules`,
      tests,
    };
  return {
    about,
    level: "fail",
    message: `${node} (${address}) does not answer on any port`,
    fix: `check that the machine is up and reachable (ping ${address}); if it is, open ${ports} in the input rules of both machines`,
    tests,
  };
}

function passed({ node }: PeerPorts, open: readonly PortTest[], self: string): string {
  const ports = (list: readonly PortTest[]) => [...new Set(list.map((test) => portText(test)))].join(", ");
  const to = ports(open.filter(({ from }) => from === self));
  const back = ports(open.filter(({ to: target }) => target === self));
  if (to === back) return `open in both directions: ${to}`;
  return [to === "" ? "" : `open to ${node}: ${to}`, back === "" ? "" : `open from ${node}: ${back}`]
    .filter((text) => text !== "")
    .join("; ");
}

/** "7946/udp" */
function portText({ port, protocol, isInside }: PortTest): string {
  return `${port}/${protocol}${isInside ? " inside the overlay" : ""}`;
}

// --- one closed port

function describe(test: PortTest, of: PortsOf): Pick<Finding, "message" | "fix"> {
  const port = `${portText(test)} (${PURPOSES[test.kind]})`;
  const way = `from ${test.from} to ${test.to}`;
  const rule = `${test.port}/${test.protocol}`;
  const on = test.isInside ? " on the overlay's interface" : "";
  const input = `on ${machine(test.to, of)} open ${rule} in the input rules${on} for ${sourceOf(test, of)}`;
  const output = `on ${machine(test.from, of)} open ${rule} in the output rules${on} to ${test.address}`;
  switch (test.outcome) {
    case "not-sent":
      return {
        message: `${port} ${way}: the firewall of ${test.from} drops it on output`,
        fix: output,
      };
    case "no-route":
      if (isOtherFamily(test, of))
        return {
          message: `${port} ${way}: one node has an IPv4 address, the other an IPv6 address`,
          fix: FAMILY_FIX,
        };
      return {
        message: `${port} ${way}: ${test.from} has no route to ${test.address}`,
        fix: `on ${machine(test.from, of)} check the routes and the address family (ip route get ${test.address})`,
      };
    case "refused":
      return {
        message: `${port} ${way}: ${test.to} refuses it: nothing listens on the port, or its firewall rejects`,
        fix: `${input}; if it is open, check that portmesh runs there (\`portmesh status\`)`,
      };
    case "unreachable":
      return {
        message: `${port} ${way}: the network reports ${test.address} as unreachable: a firewall rejects, or the machine is down`,
        fix: `${input}; if it is open there, check firewalls between the machines`,
      };
    case "replies-only":
      return {
        message: `${port} ${way} is closed for new traffic: only replies to packets from ${test.to} get in`,
        fix: input,
      };
    default:
      return {
        message: `${port} ${way} is closed: nothing arrives`,
        fix: `${input}; if it is open there, ${output}, and on firewalls between the machines`,
      };
  }
}

function isOtherFamily({ from, address, isInside }: PortTest, of: PortsOf): boolean {
  return !isInside && of.addressOf(from).includes(":") !== address.includes(":");
}

const PURPOSES: Readonly<Record<PortTest["kind"], string>> = {
  gossip: "gossip",
  relay: "relays",
  overlay: "the overlay's packets",
  echo: "echoes of the overlay",
};

function sourceOf({ isInside, from }: PortTest, of: PortsOf): string {
  return isInside ? `the overlay address of ${from}` : of.addressOf(from);
}

function machine(node: string, of: PortsOf): string {
  return node === of.self
    ? `this machine (${node}, ${of.addressOf(node)})`
    : `${node} (${of.addressOf(node)})`;
}

// --- the same of every node

/** By keyOf: closed between this node and each of several others in the same direction. */
function closedEverywhere(peers: readonly PeerPorts[], self: string): Map<string, PortTest> {
  const tested = new Map<string, { readonly first: PortTest; closed: number; all: number }>();
  for (const test of peers.flatMap((peer) => peer.tests)) {
    if (test.outcome === "not-tested") continue;
    const key = keyOf(test, self);
    const seen = tested.get(key) ?? { first: test, closed: 0, all: 0 };
    seen.all++;
    if (isClosed(test) && test.outcome === seen.first.outcome) seen.closed++;
    tested.set(key, seen);
  }
  const many = [...tested].filter(([, { closed, all }]) => closed === all && all >= MANY);
  return new Map(many.map(([key, { first }]) => [key, first]));
}

function keyOf({ kind, protocol, port, isInside, from }: PortTest, self: string): string {
  return `${from === self ? "to" : "from"} ${kind} ${protocol} ${port} ${isInside}`;
}

function closedForAll(test: PortTest, peers: readonly PeerPorts[], of: PortsOf): Finding {
  const isInward = test.to === of.self;
  const others = `${peers.filter(({ tests }) => tests.length > 0).length} other nodes`;
  const port = `${portText(test)} (${PURPOSES[test.kind]})`;
  const here = machine(of.self, of);
  const rule = `${test.port}/${test.protocol}`;
  const on = test.isInside ? " on the overlay's interface" : "";
  const tests = peers.flatMap((peer) =>
    peer.tests.filter((each) => keyOf(each, of.self) === keyOf(test, of.self)),
  );
  const about = `port ${rule}`;
  if (isInward)
    return {
      about,
      level: "fail",
      message: `${port} on this node is closed: none of ${others} reaches it`,
      fix:
        test.outcome === "not-sent"
          ? `open ${rule} in the output rules of the other nodes`
          : `on ${here} open ${rule} in the input rules${on} for the other nodes`,
      tests,
    };
  return {
    about,
    level: "fail",
    message: `${port} from this node to all of ${others} is closed`,
    fix: `on ${here} open ${rule} in the output rules${on}; if it is open, open it in the input rules of the other nodes`,
    tests,
  };
}

// --- where it comes from

function diagnoseSource({ node, seenAs }: PeerPorts, about: string, of: PortsOf): Finding[] {
  const announced = of.addressOf(of.self);
  const other = seenAs.find((source) => source !== announced);
  if (other === undefined) return [];
  return [
    {
      about,
      level: "warn",
      message: `${node} receives this node's packets from ${other}, but the announced address is ${announced}`,
      fix: `firewalls that allow only ${announced} drop them: set cluster.bind to ${announced}, or node.advertise to ${other}`,
      tests: [],
    },
  ];
}
