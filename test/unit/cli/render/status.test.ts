import { expect, test } from "bun:test";
import { formatTime } from "../../../../src/cli/render/format.ts";
import { renderStatus } from "../../../../src/cli/render/status.ts";
import type { NodeStatus } from "../../../../src/node/index.ts";
import { NO_CHANGES } from "../../../../src/node/reload-report.ts";
import { nodeView } from "../../../support/node/fake-mesh.ts";

const NOW = 1_800_000_000_000;
const MINUTE = 60_000;

type ServiceStatus = NodeStatus["proxy"]["services"][number];

const task = {
  name: "127.0.0.1",
  node: null,
  address: "127.0.0.1",
  port: null,
  weight: 1,
  state: "active",
  openConnections: 3,
  connectionsTotal: 1201,
  connectFailuresTotal: 0,
  lastError: null,
} as const;

const NO_SESSIONS = {
  openSessions: 0,
  sessionsTotal: 0,
  datagramsInTotal: 0,
  datagramsOutTotal: 0,
  bytesInTotal: 0,
  bytesOutTotal: 0,
};

function service(rest: Partial<ServiceStatus> = {}): ServiceStatus {
  return {
    name: "web",
    ports: [{ protocol: "tcp", published: 8080, target: 80, listeners: [{ address: "::", error: null }] }],
    tasks: [task],
    tcp: {
      openConnections: 3,
      acceptedTotal: 1201,
      relayedOpen: 0,
      relayedTotal: 0,
      bytesInTotal: 1_234_567,
      bytesOutTotal: 9_900_000_000,
    },
    udp: NO_SESSIONS,
    relayedUdp: NO_SESSIONS,
    refusedTotal: {},
    ...rest,
  };
}

function status(services: ServiceStatus[], rest: Partial<NodeStatus> = {}): NodeStatus {
  return {
    node: "edge-1",
    version: { version: "0.1.0", commit: "56255bb" },
    state: "serving",
    pid: 4242,
    startedAt: NOW - 2 * 3_600_000 - 5 * MINUTE,
    now: NOW,
    config: {
      file: "/etc/portmesh/portmesh.toml",
      appliedAt: NOW - 90_000,
      lastReload: null,
      needsRestart: [],
    },
    names: [],
    warnings: [],
    differing: [],
    unpublished: [],
    addressProblem: null,
    storeError: null,
    logLoss: null,
    health: [],
    inPanic: [],
    proxy: {
      workers: 2,
      workersOutOfDescriptors: 0,
      sourcePorts: { low: 32_768, high: 60_999, forSessions: 24_703, leftToHost: 3_529 },
      relay: { connectionsRefusedTotal: {}, datagramsDroppedTotal: {} },
      peers: [],
      services,
    },
    cluster: null,
    overlay: null,
    ...rest,
  };
}

test("a healthy node in a few lines", () => {
  expect(renderStatus(status([service()])).split("\n")).toEqual([
    "edge-1  serving  portmesh 0.1.0 (56255bb)  up 2h5m  pid 4242  2 workers",
    "config  /etc/portmesh/portmesh.toml",
    `        applied ${formatTime(NOW - 90_000)}, 1m30s ago`,
    "",
    "web  8080:80/tcp",
    "  tcp  3 open, 1201 accepted, in 1.2 MB, out 9.9 GB",
    "  TASK       STATE   WEIGHT  OPEN  TOTAL  FAILED  LAST ERROR",
    "  127.0.0.1  active       1     3   1201       0  -",
    "",
  ]);
});

test("what is wrong with a service is in words beside it", () => {
  const broken = service({
    ports: [
      {
        protocol: "tcp",
        published: 80,
        target: 80,
        listeners: [
          { address: "0.0.0.0", error: "cannot listen on 0.0.0.0:80/tcp: grant CAP_NET_BIND_SERVICE" },
        ],
      },
      { protocol: "udp", published: 53, target: 53, listeners: [] },
    ],
    tasks: [
      {
        ...task,
        state: "failing",
        connectFailuresTotal: 4,
        lastError: { message: "refused", at: NOW - 3_000 },
      },
    ],
    refusedTotal: { denied: 3, "no-task": 12 },
  });
  const names = [
    {
      host: "db.test",
      addresses: [],
      error: "name not found",
      failingSince: NOW - 2 * MINUTE,
      answeredAt: NOW,
      services: ["web"],
    },
  ];
  const warnings = [{ service: "web", message: 'bind: "eth7" matches no address of this machine' }];
  expect(
    renderStatus(status([broken], { names, warnings }))
      .split("\n")
      .slice(4),
  ).toEqual([
    "web  80:80/tcp  53:53/udp",
    "  ERROR cannot listen on 0.0.0.0:80/tcp: grant CAP_NET_BIND_SERVICE",
    '  WARNING bind: "eth7" matches no address of this machine',
    "  tcp  3 open, 1201 accepted, in 1.2 MB, out 9.9 GB",
    "  udp  0 open, 0 sessions, in 0 datagrams 0 B, out 0 datagrams 0 B",
    "  TASK       STATE       WEIGHT  OPEN  TOTAL  FAILED  LAST ERROR",
    "  127.0.0.1  failing          1     3   1201       4  refused (3s ago)",
    "  db.test    unresolved                               name not found for 2m",
    "  refused, dropped: 12 no-task, 3 denied",
    "",
  ]);
});

test("a refused reload is shown with its problems and their age", () => {
  const problem = { file: "pm.toml", line: 12, column: 1, key: "a.b", value: 1, message: "is wrong" };
  const lastReload = {
    outcome: "refused",
    isDryRun: false,
    trigger: "file",
    at: NOW - 5 * MINUTE,
    changes: NO_CHANGES,
    problems: Array.from({ length: 12 }, () => problem),
    warnings: [],
    variables: [],
    bindErrors: [],
    differing: [],
    unpublished: [],
    kept: [],
  } as const;
  const given = status([], { config: { ...status([]).config, lastReload } });
  const lines = renderStatus(given).split("\n");
  expect(lines[3]).toBe(
    "reload  REFUSED 5m ago (file): the file is invalid; the previous configuration stays in use",
  );
  expect(lines[4]).toBe("        pm.toml:12: a.b: is wrong");
  expect(lines[14]).toBe("        and 2 more: see `portmesh check`");
});

test("settings that wait for a restart and workers without descriptors are shown at the top", () => {
  const needsRestart = [{ key: "proxy.workers", before: 2, after: 4, needsRestart: true }];
  const given = status([], { config: { ...status([]).config, needsRestart } });
  const text = renderStatus({ ...given, proxy: { ...given.proxy, workersOutOfDescriptors: 1 } });
  expect(text).toContain("WARNING 1 of 2 workers out of file descriptors");
  expect(text).toContain("RESTART proxy.workers: 2 is in use, the file says 4");
});

test("ranges are collapsed, and a thousand failed ports stay readable", () => {
  const ports = Array.from({ length: 1000 }, (_, index) => ({
    protocol: "udp" as const,
    published: 30_000 + index,
    target: 40_000 + index,
    listeners: [{ address: "::", error: `cannot listen on [::]:${30_000 + index}/udp: address in use` }],
  }));
  const linesOf = (shown: typeof ports) =>
    renderStatus(status([service({ ports: shown })]))
      .split("\n")
      .slice(4);
  const lines = linesOf(ports);
  expect(lines[0]).toBe("web  30000-30999:40000-40999/udp");
  expect(lines.filter((line) => line.startsWith("  ERROR"))).toEqual([
    "  ERROR cannot listen on [::]:30000-30999/udp: address in use",
  ]);
  const everyOther = linesOf(ports.filter((_, index) => index % 2 === 0));
  expect(everyOther.filter((line) => line.startsWith("  ERROR")).length).toBe(6);
  expect(everyOther).toContain("  ERROR 495 more listeners: see --json");
});

test("no line is longer than 110 characters, and a long error is wrapped, not cut", () => {
  const message = "the connection could not be made because ".repeat(8).trim();
  const tasks = [{ ...task, name: "a-rather-long-name.internal:8081", lastError: { message, at: NOW } }];
  const text = renderStatus(status([service({ tasks })]));
  expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(110);
  expect(text.replace(/\s+/g, " ")).toContain(message);
});

test("a task given by name shows the address it stands for", () => {
  const tasks = [{ ...task, name: "web.test", address: "10.0.0.5" }];
  expect(renderStatus(status([service({ tasks })]))).toContain("web.test (10.0.0.5)");
});

const cluster: NonNullable<NodeStatus["cluster"]> = {
  name: "prod",
  members: [nodeView("edge-1"), nodeView("edge-2", { state: "suspect", rttMs: 0.4 })],
  gossip: { healthScore: 0, queueLengths: { membership: 0 }, droppedTotal: {} },
  conflicts: [],
  catalog: { services: 2, tasks: 5, revision: "9f2c" },
};

test("a healthy cluster is a table of its nodes before the services", () => {
  expect(renderStatus(status([], { cluster })).split("\n").slice(3)).toEqual([
    "",
    "cluster prod  1/2 nodes alive, 2 services, 5 tasks, revision 9f2c",
    "  NODE      STATE    ADDRESS          RELAY            TASKS    RTT  VERSION  LABELS",
    "  edge-1 *  alive    192.0.2.10:7946  192.0.2.10:4789      0      -  0.1.0    -",
    "  edge-2    suspect  192.0.2.10:7946  192.0.2.10:4789      0  0.4ms  0.1.0    -",
    "",
    "no services: add [[services]] to the file",
    "",
  ]);
});

test("in a cluster every task has its node, and the traffic of other nodes' clients is shown", () => {
  const relayedUdp = {
    ...NO_SESSIONS,
    openSessions: 1,
    sessionsTotal: 7,
    datagramsInTotal: 9,
    bytesInTotal: 90,
  };
  const shared = service({
    ports: [
      { protocol: "tcp", published: 53, target: 53, listeners: [] },
      { protocol: "udp", published: 53, target: 53, listeners: [] },
    ],
    tasks: [task, { ...task, node: "edge-2" }],
    tcp: { ...service().tcp, relayedTotal: 40, relayedOpen: 2 },
    relayedUdp,
  });
  const names = [
    {
      host: "db.test",
      addresses: [],
      error: "name not found",
      failingSince: null,
      answeredAt: NOW,
      services: ["web"],
    },
  ];
  const lines = renderStatus(status([shared], { cluster, names })).split("\n");
  expect(lines.slice(lines.indexOf("web  53:53/tcp  53:53/udp") + 1)).toEqual([
    "  tcp  3 open, 1201 accepted, 40 for other nodes (2 open), in 1.2 MB, out 9.9 GB",
    "  udp  0 open, 0 sessions, in 0 datagrams 0 B, out 0 datagrams 0 B",
    "       for other nodes: 1 open, 7 sessions, in 9 datagrams 90 B, out 0 datagrams 0 B",
    "  TASK       NODE    STATE       WEIGHT  OPEN  TOTAL  FAILED  LAST ERROR",
    "  127.0.0.1  edge-1  active           1     3   1201       0  -",
    "  127.0.0.1  edge-2  active           1     3   1201       0  -",
    "  db.test    edge-1  unresolved                               name not found",
    "",
  ]);
});

test("a node that can keep nothing says so", () => {
  const text = renderStatus(status([], { storeError: "cannot write /data/state: no space left on device" }));
  expect(text.replace(/\s+/g, " ")).toContain(
    "WARNING cannot write /data/state: no space left on device: services and tasks created by command will not " +
      "survive a restart (node.data_dir)",
  );
});

test("faults of the cluster are shown: ports no node opens, conflicts, gossip", () => {
  const bindErrors = Array.from({ length: 7 }, (_, index) => ({
    service: "web",
    listener: `tcp 0.0.0.0:${80 + index}`,
    error: `cannot listen on 0.0.0.0:${80 + index}/tcp: address in use`,
  }));
  const text = renderStatus(
    status([], {
      cluster: {
        ...cluster,
        members: [nodeView("edge-1"), nodeView("edge-2", { bindErrors })],
        conflicts: [{ service: "new", protocol: "tcp", port: 80, with: "web" }],
        gossip: {
          healthScore: 3,
          queueLengths: { catalog: 12 },
          droppedTotal: { "wrong-key": 4, malformed: 9 },
        },
      },
    }),
  );
  expect(text).toContain("  ERROR edge-2: web: cannot listen on 0.0.0.0:80/tcp: address in use\n");
  expect(text).toContain("  ERROR edge-2: 2 more listeners: see --json\n");
  expect(text).toContain("  CONFLICT new does not get 80/tcp: the older service web uses it");
  expect(text).toContain("  WARNING health score 3: ");
  expect(text).toContain("  gossip waiting: 12 catalog\n");
  expect(text).toContain("  gossip dropped: 9 malformed, 4 wrong-key\n");
  expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(110);
});
