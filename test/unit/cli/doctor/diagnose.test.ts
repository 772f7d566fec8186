import { describe, expect, test } from "bun:test";
import { diagnose } from "../../../../src/cli/doctor/diagnose.ts";
import { renderFindings } from "../../../../src/cli/doctor/finding.ts";
import type { NodeStatus, OverlayPeerStatus, OverlayStatus } from "../../../../src/node/index.ts";
import { NO_CHANGES } from "../../../../src/node/reload-report.ts";
import { nodeView } from "../../../support/node/fake-mesh.ts";
import { DIRECT, overlayPeer, overlayStatus } from "../../../support/node/overlay-status.ts";
import { peerStatus, proxyStatus } from "../../../support/node/proxy-status.ts";

function status(overlay: OverlayStatus | null, rest: Partial<NodeStatus> = {}): NodeStatus {
  const cluster = {
    name: "prod",
    members: [nodeView("edge-1"), nodeView("edge-2")],
    gossip: { healthScore: 0, queueLengths: {}, droppedTotal: {} },
    conflicts: [],
    catalog: { services: 0, tasks: 0, revision: "9f2c" },
  };
  return {
    node: "edge-1",
    version: { version: "0.1.0", commit: null },
    state: "serving",
    pid: 1,
    startedAt: 0,
    now: 0,
    config: { file: "pm.toml", appliedAt: 0, lastReload: null, needsRestart: [] },
    names: [],
    warnings: [],
    differing: [],
    unpublished: [],
    addressProblem: null,
    storeError: null,
    logLoss: null,
    health: [],
    inPanic: [],
    proxy: { ...proxyStatus(), peers: [peerStatus("edge-2")] },
    cluster,
    overlay,
    ...rest,
  };
}

/** What is not well, as "LEVEL ABOUT: MESSAGE | FIX". */
function wrong(given: NodeStatus): string[] {
  return diagnose(given, [])
    .filter(({ level }) => level !== "pass")
    .map(({ level, about, message, fix }) => `${level} ${about}: ${message} | ${fix}`);
}

function wrongWith(peer: Partial<OverlayPeerStatus>): string[] {
  return wrong(status(overlayStatus({ peers: [overlayPeer("edge-2", peer)] })));
}

describe("diagnose", () => {
  test("passes a healthy node, and one that stands alone", () => {
    const findings = diagnose(status(overlayStatus({ peers: [overlayPeer("edge-2")] })), []);
    expect(findings.map(({ level, about }) => `${level} ${about}`)).toEqual([
      "pass gossip",
      "pass relay",
      "pass overlay",
      "pass encryption",
      "pass overlay edge-2",
    ]);
    expect(wrong(status(null, { cluster: null }))).toEqual([]);
  });

  test("a node that no seed answers fails, also where it is the only member", () => {
    const { cluster } = status(null);
    const gossip = { ...cluster!.gossip, silentSeeds: ["192.0.2.11:7946", "edge.example.org:7946"] };
    const alone = status(overlayStatus({ peers: [] }), {
      cluster: { ...cluster!, members: [nodeView("edge-1")], gossip },
    });
    expect(wrong(alone)).toEqual([
      "fail gossip: this node is alone: no answer from 192.0.2.11:7946, edge.example.org:7946 (cluster.join) | check the addresses and ports in cluster.join, and that portmesh runs there; open the gossip port, TCP and UDP, in both directions",
    ]);
  });

  test("a missing or invalid file is reported first, also without a cluster", () => {
    const message = "cannot read the file: it does not exist";
    const problem = { file: "pm.toml", line: 0, column: 0, key: "", value: undefined, message };
    const lastReload = {
      outcome: "refused",
      isDryRun: false,
      trigger: "file",
      at: 0,
      changes: NO_CHANGES,
      problems: [problem],
      warnings: [],
      variables: [],
      bindErrors: [],
      differing: [],
      unpublished: [],
      kept: [],
    } as const;
    const config = { file: "pm.toml", appliedAt: 0, lastReload, needsRestart: [] };
    const expected =
      `fail config: the last reload was refused; the previous configuration is in use: pm.toml: ${message} | ` +
      "`portmesh check -c pm.toml` lists all problems of the file";
    expect(wrong(status(null, { cluster: null, config }))).toEqual([expected]);
    expect(wrong(status(overlayStatus({ peers: [overlayPeer("edge-2")] }), { config }))).toEqual([expected]);
  });

  test("says what seals, and what would do so for less", () => {
    const said = (libcrypto: string | null) => {
      const findings = diagnose(status(overlayStatus({ libcrypto })), []);
      return findings.find(({ about }) => about === "encryption")!.message;
    };
    expect(said("OpenSSL 3.0.17")).toBe("all traffic to other nodes is encrypted; OpenSSL 3.0.17");
    expect(said(null)).toStartWith("all traffic to other nodes is encrypted; libcrypto");
  });

  test("a node that gossip has lost, and one whose relay is silent", () => {
    const given = status(overlayStatus());
    const members = [nodeView("edge-1"), nodeView("edge-2", { state: "failed" })];
    const proxy = { ...given.proxy, peers: [peerStatus("edge-2", { isReachable: false })] };
    const lines = wrong({ ...given, proxy, cluster: { ...given.cluster!, members } });
    expect(lines[0]).toStartWith("fail gossip edge-2: failed: no answer from 192.0.2.10:7946 | ");
    expect(lines[1]).toStartWith("fail relay edge-2: no answer from 10.0.0.2 port 4789");
  });

  test("a node with another key is reported as that, not as one that does not answer", () => {
    const given = status(overlayStatus());
    const members = [nodeView("edge-1"), nodeView("edge-2", { state: "failed" })];
    const keyTrouble = [
      { from: "192.0.2.10", reason: "cannot-decrypt" as const },
      { from: "192.0.2.99", reason: "not-encrypted" as const },
    ];
    const gossip = { ...given.cluster!.gossip, keyTrouble };
    const lines = wrong({ ...given, cluster: { ...given.cluster!, members, gossip } });
    expect(lines[0]).toStartWith("fail keys edge-");
    expect(lines[0]).toContain("192.0.2.10 encrypts gossip with a key that this node does not have");
    expect(lines[0]).toContain("cluster.keys");
    expect(lines[1]).toStartWith("fail keys 192.0.2.99: 192.0.2.99 does not encrypt gossip");
    expect(lines.join()).not.toContain("open the gossip port");
  });

  test("a driver that auto would have liked better, with what is missing", () => {
    const passedOver = [{ name: "userspace" as const, reason: "/dev/net/tun is missing" }];
    const none = overlayStatus({ driver: "none", address: null, passedOver });
    expect(wrong(status(none))).toEqual([
      "warn overlay: driver none; cannot use driver userspace: /dev/net/tun is missing | " +
        'provide what is missing, or set overlay.driver = "none" to accept this',
    ]);
  });

  test("what goes to others in clear", () => {
    const peers = [overlayPeer("edge-2", { encryption: "none" })];
    const lines = wrong(status(overlayStatus({ encrypt: false, peers })));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("warn encryption: traffic to edge-2 is not encrypted | set cluster.keys");
  });

  test("an overlay that does not answer names the port to open; other settings are named", () => {
    const problem = "no reply over the overlay yet";
    expect(wrongWith({ path: "direct", problem, problemKind: "silent" })).toEqual([
      `fail overlay edge-2: ${problem} | open 4789/udp between the nodes, in both directions; ` +
        "until then relays use 4789/tcp",
    ]);
    expect(wrongWith({ ...DIRECT, problem: "overlay.vni is 1 here, 2 there" })).toEqual([
      "warn overlay edge-2: overlay.vni is 1 here, 2 there | use the same [overlay] settings on both nodes",
    ]);
  });

  test("small packets, loss, rejected frames", () => {
    const lines = wrongWith({ mtuBytes: 1200, loss: 0.05, rejectedTotal: { replay: 3 } });
    expect(lines.map((line) => line.split(" | ")[0]!)).toEqual([
      "warn overlay edge-2: only packets of at most 1200 bytes arrive",
      "warn overlay edge-2: 5.0 % of the packets sent to it are lost",
      "warn overlay edge-2: packets dropped here: 3 replay",
    ]);
    const strangers = wrong(status(overlayStatus({ rejectedTotal: { "unknown-key": 9 } })));
    expect(strangers[0]).toStartWith("warn overlay: frames from unknown senders dropped: 9 unknown-key");
  });
});

test("findings are read line by line, what to do below, the sum last", () => {
  const text = renderFindings([
    { about: "gossip", level: "pass", message: "2 nodes, all alive", fix: null },
    { about: "overlay b", level: "fail", message: "no answer", fix: "open the port" },
  ]);
  expect(text.split("\n")).toEqual([
    "pass  gossip     2 nodes, all alive",
    "FAIL  overlay b  no answer",
    "                 fix: open the port",
    "",
    "1 failed, 0 warnings, 1 passed",
    "",
  ]);
});
