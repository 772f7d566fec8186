import { describe, expect, test } from "bun:test";
import { diagnosePorts } from "../../../../src/cli/doctor/diagnose-ports.ts";
import type { PeerPorts, PortTest } from "../../../../src/node/index.ts";

const ADDRESSES: Readonly<Record<string, string>> = { a: "192.0.2.1", b: "192.0.2.2", c: "192.0.2.3" };
const OF = { self: "a", addressOf: (node: string) => ADDRESSES[node] ?? node };

function portTest(changes: Partial<PortTest> = {}): PortTest {
  const { from = "a", to = "b" } = changes;
  return {
    kind: "gossip",
    protocol: "udp",
    port: 7946,
    address: ADDRESSES[to]!,
    isInside: false,
    outcome: "open",
    from,
    to,
    ...changes,
  };
}

/** With a connection to its relay that passes. */
function ports(tests: readonly PortTest[], changes: Partial<PeerPorts> = {}): PeerPorts {
  const { node = "b" } = changes;
  const relay = portTest({ kind: "relay", protocol: "tcp", port: 4789, to: node });
  return {
    node,
    address: ADDRESSES[node]!,
    tests: [relay, ...tests],
    notTested: null,
    isPortmesh: true,
    problems: [],
    seenAs: [],
    ...changes,
  };
}

function wrong(...peers: readonly PeerPorts[]): string[] {
  return diagnosePorts(peers, OF)
    .filter(({ level }) => level !== "pass")
    .map(({ level, about, message, fix }) => `${level} ${about}: ${message} | ${fix}`);
}

describe("diagnosePorts", () => {
  test("open ports are one line, with all of them", () => {
    const [finding, ...rest] = diagnosePorts([ports([portTest(), portTest({ from: "b", to: "a" })])], OF);
    expect(rest).toEqual([]);
    expect(finding).toMatchObject({ level: "pass", about: "ports b" });
    expect(finding!.message).toBe("open to b: 4789/tcp, 7946/udp; open from b: 7946/udp");
    expect(finding!.tests).toHaveLength(3);
  });

  test.each([
    [
      "silent",
      "7946/udp (gossip) from a to b is closed: nothing arrives",
      "on b (192.0.2.2) open 7946/udp in the input rules for 192.0.2.1; if it is open there, on this machine " +
        "(a, 192.0.2.1) open 7946/udp in the output rules to 192.0.2.2, and on firewalls between the machines",
    ],
    [
      "not-sent",
      "7946/udp (gossip) from a to b: the firewall of a drops it on output",
      "on this machine (a, 192.0.2.1) open 7946/udp in the output rules to 192.0.2.2",
    ],
    [
      "replies-only",
      "7946/udp (gossip) from a to b is closed for new traffic: only replies to packets from b get in",
      "on b (192.0.2.2) open 7946/udp in the input rules for 192.0.2.1",
    ],
    [
      "refused",
      "7946/udp (gossip) from a to b: b refuses it: nothing listens on the port, or its firewall rejects",
      "on b (192.0.2.2) open 7946/udp in the input rules for 192.0.2.1; if it is open, check that portmesh runs " +
        "there (`portmesh status`)",
    ],
    [
      "no-route",
      "7946/udp (gossip) from a to b: a has no route to 192.0.2.2",
      "on this machine (a, 192.0.2.1) check the routes and the address family (ip route get 192.0.2.2)",
    ],
  ] as const)("%s", (outcome, message, fix) => {
    expect(wrong(ports([portTest({ outcome })]))).toEqual([`fail ports b: ${message} | ${fix}`]);
  });

  test("what does not come here is opened here, inside the overlay on its interface", () => {
    const inside = {
      kind: "relay",
      port: 7946,
      isInside: true,
      outcome: "silent",
      from: "b",
      to: "a",
    } as const;
    const [line] = wrong(ports([portTest({ ...inside, address: "10.200.0.1" })]));
    expect(line).toContain("7946/udp inside the overlay (relays) from b to a is closed");
    expect(line).toContain(
      "on this machine (a, 192.0.2.1) open 7946/udp in the input rules on the overlay's interface for the overlay address of b",
    );
  });

  test("a port closed to all, or from all, is one finding", () => {
    const inward = (from: string) => portTest({ from, to: "a", outcome: "silent" });
    const peers = [ports([inward("b")]), ports([inward("c")], { node: "c" })];
    expect(wrong(...peers)).toEqual([
      "fail port 7946/udp: 7946/udp (gossip) on this node is closed: none of 2 other nodes reaches it | " +
        "on this machine (a, 192.0.2.1) open 7946/udp in the input rules for the other nodes",
    ]);
    const told = diagnosePorts(peers, OF).find(({ level }) => level === "fail");
    expect(told!.tests!.map(({ from }) => from)).toEqual(["b", "c"]);
  });

  test("a node of which all ports refuse, or are silent, is one line", () => {
    const dead = (outcome: PortTest["outcome"]) =>
      wrong(ports([], { tests: [portTest({ outcome }), portTest({ protocol: "tcp", outcome })] }));
    expect(dead("refused")[0]).toStartWith("fail ports b: b (192.0.2.2) refuses all of its ports");
    expect(dead("silent")[0]).toStartWith("fail ports b: b (192.0.2.2) does not answer on any port");
    expect(dead("silent")).toHaveLength(1);
  });

  test("of an older version it says what is not known, of members that are not portmesh nothing", () => {
    const notTested = "it runs an older version without port tests";
    expect(wrong(ports([], { notTested }))).toEqual([
      `warn ports b: not tested from b to this node: ${notTested} | run \`portmesh doctor\` on b`,
    ]);
    expect(wrong(ports([], { notTested, isPortmesh: false }))).toEqual([]);
  });

  test("packets that come from another address than the announced one", () => {
    expect(wrong(ports([], { seenAs: ["192.0.2.1"] }))).toEqual([]);
    expect(wrong(ports([], { seenAs: ["192.0.2.1", "192.0.2.99"] }))[0]).toStartWith(
      "warn ports b: b receives this node's packets from 192.0.2.99, but the announced address is 192.0.2.1 | ",
    );
  });
});
