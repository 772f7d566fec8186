import { beforeEach, describe, expect, test } from "bun:test";
import { PortGate, ReachNews } from "../../../src/node/port-gate.ts";
import { reachIn } from "../../../src/node/reach-report.ts";
import type { RoutingInput } from "../../../src/node/routing-input.ts";
import type { PublishedPort, RoutingTable, Service, Task } from "../../../src/proxy/index.ts";
import { configOf } from "../../support/node/config-of.ts";
import { viewOf } from "../../support/node/view-of.ts";
import { tableOf } from "../../support/proxy/routing-table.ts";
import { ManualClock } from "../../support/time/manual-clock.ts";

const FAR: Partial<Task> = { node: "n2", distance: "far", name: "far", address: "10.0.0.2" };
const VIEW: RoutingInput = viewOf(configOf('[node]\nname = "n1"'));
/** The debounce, with the tick that notices. */
const LONG_MS = 1_700;

let clock: ManualClock;
let gate: PortGate;
/** "tcp 127.0.0.1:80" */
let news: ReachNews;
let down: Set<string>;
let silent: Set<string>;
/** null: the proxy looks after silent peers every 250 ms. */
let looks: number | null;
let reported: Set<string>;
let openSessions: number;
/** What is wanted, and what runs. */
let wanted: RoutingTable;
let running: RoutingTable;

beforeEach(() => {
  clock = new ManualClock();
  down = new Set();
  silent = new Set();
  looks = null;
  reported = new Set();
  openSessions = 0;
  news = new ReachNews();
  gate = new PortGate({
    news,
    clock,
    reach: {
      isTaskUp: ({ address, port }, { protocol, target }) =>
        !down.has(`${protocol} ${address}:${port ?? target}`),
      silentLooksOf: (name) => (silent.has(name) ? (looks ?? 1 + Math.floor(clock.nowMs() / 250)) : 0),
      openConnectionsOf: () => openSessions,
    },
    isReportedDown: (...words) => reported.has(words.join(" ")),
    onDue: () => run(wanted),
    onReach: () => undefined,
  });
  gate.start();
});

function run(table: RoutingTable): void {
  wanted = table;
  running = gate.close(table);
  gate.onApplied(VIEW, running);
}

function table(
  overrides: Partial<Omit<Service, "tasks">> & { tasks: (number | Partial<Task>)[] },
): RoutingTable {
  const peers = [{ name: "n2", address: "10.0.0.2", port: 4789, udpPort: 4789, isSealed: true }];
  return { ...tableOf({ protocol: "tcp", published: 80, ...overrides }), peers };
}

function setDown(...tasks: string[]): void {
  down = new Set(tasks);
  news.set();
}

/** Published ports that are closed. */
function closed(): number[] {
  return running.services.flatMap(({ ports }) =>
    ports.filter(({ isClosed }) => isClosed === true).map(({ published }) => published),
  );
}

describe("a port", () => {
  test("with a reachable task is open, without any task it is closed from the start", async () => {
    run(table({ tasks: [8080] }));
    expect(closed()).toEqual([]);
    run(table({ name: "new", tasks: [] }));
    expect(closed()).toEqual([80]);
    run(table({ name: "new", tasks: [8080] }));
    expect(closed()).toEqual([]);
  });

  test("is closed when its last task has been down for a moment, and open as soon as one is back", async () => {
    run(table({ tasks: [8080, 8081] }));
    setDown("tcp 127.0.0.1:8080");
    await clock.advance(LONG_MS);
    expect(closed()).toEqual([]);
    setDown("tcp 127.0.0.1:8080", "tcp 127.0.0.1:8081");
    await clock.advance(300);
    expect(closed()).toEqual([]);
    await clock.advance(LONG_MS);
    expect(closed()).toEqual([80]);
    setDown("tcp 127.0.0.1:8080");
    await clock.advance(100);
    expect(closed()).toEqual([]);
  });

  test("stays open over short gaps, however many changes there are meanwhile", async () => {
    run(table({ tasks: [8080] }));
    for (let change = 0; change < 20; change++) run(table({ tasks: [] })); // a task that moves
    expect(closed()).toEqual([]);
    await clock.advance(300);
    run(table({ tasks: [FAR] }));
    await clock.advance(LONG_MS);
    expect(closed()).toEqual([]);
  });

  test("leads to tasks of a silent node no more, and does again with its first answer", async () => {
    run(table({ tasks: [FAR] }));
    silent.add("n2");
    await clock.advance(LONG_MS);
    expect(closed()).toEqual([80]);
    silent.clear();
    await clock.advance(100);
    expect(closed()).toEqual([]);
  });

  test("stays open while the proxy itself is held up and does not listen to the silent node", async () => {
    run(table({ tasks: [FAR] }));
    silent.add("n2");
    looks = 1;
    await clock.advance(60_000);
    expect(closed()).toEqual([]);
    looks = null;
    await clock.advance(LONG_MS);
    expect(closed()).toEqual([80]);
  });

  test("stays open while this process itself is held up, whatever seems to be silent or down then", async () => {
    run(table({ tasks: [FAR] }));
    silent.add("n2");
    for (let i = 0; i < 60; i++) {
      clock.skip(1000);
      await clock.advance(0);
    }
    expect(closed()).toEqual([]);
    run(table({ tasks: [8080] }));
    setDown("tcp 127.0.0.1:8080");
    for (let i = 0; i < 60; i++) {
      clock.skip(1000);
      await clock.advance(0);
    }
    expect(closed()).toEqual([]);
    await clock.advance(LONG_MS);
    expect(closed()).toEqual([80]);
  });

  test("opens for a node that begins to serve, before its first heartbeat, and closes if there is none", async () => {
    silent.add("n2"); // its relay does not listen yet
    run(table({ tasks: [{ ...FAR, isDraining: true }] }));
    await clock.advance(LONG_MS);
    expect(closed()).toEqual([80]);
    run(table({ tasks: [FAR] }));
    expect(closed()).toEqual([]);
    await clock.advance(LONG_MS);
    expect(closed()).toEqual([80]);
    run(table({ tasks: [{ ...FAR, weight: 2 }] }));
    expect(closed()).toEqual([80]);
  });

  test("is closed when the task's own node cannot reach it", async () => {
    run(table({ tasks: [FAR] }));
    reported.add("n2 test far tcp 80");
    news.set();
    await clock.advance(LONG_MS);
    expect(closed()).toEqual([80]);
  });

  test("is closed when all its tasks drain; UDP stays open for their sessions", async () => {
    const draining = { port: 8080, isDraining: true };
    run(table({ tasks: [8080] }));
    openSessions = 1;
    run(table({ tasks: [draining] }));
    await clock.advance(LONG_MS);
    expect(closed()).toEqual([80]);

    const udp = { name: "udp", ports: portsOf({ protocol: "udp" }) };
    run(table({ ...udp, tasks: [8080] }));
    run(table({ ...udp, tasks: [draining] }));
    await clock.advance(LONG_MS);
    expect(closed()).toEqual([]);
    openSessions = 0;
    await clock.advance(LONG_MS);
    expect(closed()).toEqual([80]);
  });

  test("is judged on its own: one target port of a task may be down and the other not", async () => {
    const ports = [...portsOf({ target: 8080 }), ...portsOf({ published: 81, target: 8081 })];
    run(table({ ports, tasks: [{ port: null }] }));
    setDown("tcp 127.0.0.1:8081");
    await clock.advance(LONG_MS);
    expect(closed()).toEqual([81]);
  });

  test("of mode host leads to tasks of this node only, and is not closed where it does not listen", async () => {
    const ports = portsOf({ mode: "host" });
    run(table({ ports, tasks: [FAR] }));
    expect(closed()).toEqual([]); // nothing listens anyway
    run(table({ ports, tasks: [8080, FAR] }));
    setDown("tcp 127.0.0.1:8080");
    await clock.advance(LONG_MS);
    expect(closed()).toEqual([80]);
    run(table({ name: "elsewhere", tasks: [], listenAddresses: [] }));
    expect(closed()).toEqual([]);
  });

  test("a preview changes nothing", async () => {
    run(table({ tasks: [8080] }));
    gate.close(table({ tasks: [] }));
    await clock.advance(LONG_MS);
    expect(closed()).toEqual([]);
  });
});

describe("reachIn", () => {
  const input = viewOf(
    configOf(
      '[node]\nname = "n1"\n[[services]]\nname = "test"\npublish = ["80", "81"]\ntasks = ["127.0.0.1", "web.test"]',
    ),
  );
  const ports = [...portsOf({ target: 80 }), ...portsOf({ published: 81, target: 81 })];

  test("reports the tasks that are down, on all ports or on some, and names without an address", async () => {
    const tasks = [{ name: "127.0.0.1", port: null }];
    const isTaskUp = (_: Task, { target }: PublishedPort) => target !== 81;
    expect(reachIn(input, table({ ports, tasks }), { isTaskUp }).down).toEqual([
      { service: "test", task: "127.0.0.1", ports: ["tcp 81"] },
      { service: "test", task: "web.test", ports: [] },
    ]);
  });

  test("a name is down when all its addresses are", async () => {
    const tasks = ["10.0.0.1", "10.0.0.2"].map((address) => ({ name: "web.test", port: null, address }));
    const isTaskUp = ({ address }: Task) => address !== "10.0.0.1";
    const { down } = reachIn(input, table({ ports, tasks }), { isTaskUp });
    expect(down.filter(({ task }) => task === "web.test")).toEqual([]);
  });

  test("10,000 tasks of a service are looked at once each", () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
    const [service] = input.services;
    const tasks = names.map((name) => ({ ...service!.tasks[0]!, name }));
    const many = table({ ports, tasks: names.map((name) => ({ name, port: null, address: name })) });
    let looks = 0;
    const look = () => {
      looks++;
      return null;
    };
    for (const task of many.services[0]!.tasks) Object.defineProperty(task, "node", { get: look });
    const isTaskUp = ({ address }: Task) => address !== names[0];
    const { down } = reachIn({ ...input, services: [{ ...service!, tasks }] }, many, { isTaskUp });
    expect(down).toEqual([{ service: "test", task: names[0]!, ports: [] }]);
    expect(looks).toBeLessThanOrEqual(names.length);
  });

  test("reports closed ports as ranges", async () => {
    const many = [80, 81, 82, 90].flatMap((published) => portsOf({ published, isClosed: true }));
    const { closed } = reachIn(input, table({ ports: many, tasks: [] }), { isTaskUp: () => true });
    expect(closed).toEqual([{ service: "test", ports: ["80-82/tcp", "90/tcp"] }]);
  });
});

function portsOf(port: Partial<PublishedPort>): PublishedPort[] {
  return [{ protocol: "tcp", published: 80, target: 80, mode: "ingress", ...port }];
}
