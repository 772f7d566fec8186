/** From a routing table to what the data path goes by: whose tasks are served, whose are relayed, what stays the same. */
import { beforeEach, describe, expect, test } from "bun:test";
import { createCounters, type SharedCounters } from "../../../../src/proxy/table/counters.ts";
import {
  type CompiledTable,
  EMPTY_TABLE,
  findOwnRoute,
  findOwnTarget,
  listenersOf,
  missingTargetsOf,
  TableCompiler,
  targetsOf,
} from "../../../../src/proxy/table/route.ts";
import type { Target } from "../../../../src/proxy/table/target.ts";
import type { WorkerService, WorkerTable, WorkerTask } from "../../../../src/proxy/table/worker-messages.ts";
import { type TestTask, tableOf } from "../../../support/proxy/routing-table.ts";

const NOW_MS = 5000;
const EXIT = { name: "exit", address: "127.0.0.2", port: 4789, udpPort: 4789, slot: 0, isSealed: false };
const RELAY = {
  node: "entry",
  keys: ["5a".repeat(32)],
  tcpListeners: [],
  udpListeners: [],
  acceptsClear: "always" as const,
};
const PORT = { protocol: "tcp", published: 8080, target: 80, mode: "ingress" } as const;
const HOST_PORT = { ...PORT, published: 9090, mode: "host" } as const;

const OWN = { name: "own", address: "127.0.0.1" };
const FAR = { name: "far", node: "exit", distance: "far", address: "web.internal" } as const;

let counters: SharedCounters;
let before: CompiledTable;

beforeEach(() => {
  counters = createCounters(1);
  before = EMPTY_TABLE;
});

function service(tasks: readonly TestTask[], rules: Partial<WorkerService> = {}): WorkerService {
  const { listenAddresses, ...rest } = tableOf({ protocol: "tcp", published: 8080, tasks }).services[0]!;
  const ports = (rules.ports ?? [PORT]).map((port, index) => ({
    ...port,
    listeners: [{ fd: 100 + index, address: listenAddresses[0]! }],
  }));
  const workerTasks = rest.tasks.map((task, slot): WorkerTask => ({ ...task, slot }));
  return { ...rest, slot: 0, ...rules, ports, tasks: workerTasks };
}

/** The next table of this worker. */
function compile(services: readonly WorkerService[], table: Partial<WorkerTable> = {}): CompiledTable {
  const compiler = new TableCompiler(before, counters, 0, NOW_MS);
  before = compiler.compile({ peers: [EXIT], relay: RELAY, ...table, services });
  return before;
}

function taskNames(table: CompiledTable, published = 8080): string[] {
  const listener = listenersOf(table).find(({ route }) => route.published === published)!;
  return listener.route.targets.map(({ taskName }) => taskName);
}

function ownTask(table: CompiledTable, task: string, port = 80, name = "test") {
  return findOwnTarget(table, "tcp", name, task, port);
}

describe("a route leads to", () => {
  test("tasks of this node and of its peers", () => {
    const table = compile([service([OWN, FAR])]);
    expect(taskNames(table)).toEqual(["own", "far"]);
    const [own, far] = targetsOf(table);
    expect([own!.peer, far!.peer?.name]).toEqual([null, "exit"]);
    // nothing of another node's task is connected to from here
    expect([far!.sockaddrLength, far!.distance]).toEqual([0, "far"]);
  });

  test("no task of a node that is no peer, nor any when nothing is relayed", () => {
    expect(taskNames(compile([service([OWN, { ...FAR, node: "stranger" }])]))).toEqual(["own"]);
    const alone = compile([service([OWN, FAR])], { relay: null });
    expect(taskNames(alone)).toEqual(["own"]);
    expect(alone.peers.size).toBe(0);
  });

  test("tasks of this node only, where the port is of mode host", () => {
    const table = compile([
      service([OWN, FAR], {
        ports: [
          { ...PORT, listeners: [] },
          { ...HOST_PORT, listeners: [] },
        ],
      }),
    ]);
    expect(taskNames(table)).toEqual(["own", "far"]);
    expect(taskNames(table, 9090)).toEqual(["own"]);
  });
});

describe("other nodes may ask for", () => {
  test("tasks of this node by service, name and target port; for no other", () => {
    const table = compile([service([OWN, { ...OWN, name: "fixed", port: 7 }, FAR])]);
    expect(ownTask(table, "own")?.target.taskName).toBe("own");
    expect(ownTask(table, "fixed", 7)?.target.port).toBe(7);
    for (const [task, port, name] of [
      ["own", 81, "test"],
      ["fixed", 80, "test"],
      ["far", 80, "test"],
      ["own", 80, "other"],
      ["own 80", 80, "test"],
      ["", 80, "test"],
    ] as const) {
      expect([task, ownTask(table, task, port, name)]).toEqual([task, null]);
    }
    expect(findOwnTarget(table, "udp", "test", "own", 80)).toBeNull();
  });

  test("all addresses of a name, of one published port", () => {
    const addresses = ["127.0.0.1", "127.0.0.2"].map((address) => ({ name: "web", address }));
    const second = { ...PORT, published: 8081, listeners: [] };
    const table = compile([service(addresses, { ports: [{ ...PORT, listeners: [] }, second] })]);
    const route = findOwnRoute(table, "tcp", "test", "web", 80)!;
    expect(route.targets.map(({ address }) => address)).toEqual(["127.0.0.1", "127.0.0.2"]);
    expect(route.published).toBe(8080);
  });

  test("nothing that only a port of mode host leads to", () => {
    const host = { ...HOST_PORT, listeners: [] };
    expect(ownTask(compile([service([OWN], { ports: [host] })]), "own")).toBeNull();
    const both = compile([service([OWN], { ports: [host, { ...PORT, listeners: [] }] })]);
    expect(findOwnRoute(both, "tcp", "test", "own", 80)?.published).toBe(8080);
  });
});

describe("from one table to the next", () => {
  test("a service that is as it was is the same object", () => {
    const first = compile([service([OWN, FAR])]);
    const second = compile([service([OWN, FAR])]);
    expect(second.services.get("test")).toBe(first.services.get("test")!);
    expect(second.peers.get("exit")).toBe(first.peers.get("exit")!);
  });

  test("targets stay while their task and their peer do", () => {
    const first = targetsOf(compile([service([OWN, FAR])]));
    const second = targetsOf(compile([service([OWN, FAR], { balance: "random" })]));
    expect(second).toEqual(first);
    for (const [index, target] of second.entries()) expect(target).toBe(first[index]!);
    expect(first.some(({ isRetired }) => isRetired)).toBe(false);
  });

  test("a peer at another address keeps its targets: what is open to them goes on", () => {
    const [own, far] = targetsOf(compile([service([OWN, FAR])]));
    const moved = compile([service([OWN, FAR])], { peers: [{ ...EXIT, address: "127.0.0.3" }] });
    expect(targetsOf(moved)).toEqual([own!, far!]);
    expect(far!.peer).toBe(moved.peers.get("exit")!);
    expect(far!.peer?.peer.address).toBe("127.0.0.3");
    expect([far!.isRetired, far!.isDraining]).toEqual([false, false]);
  });

  test("a peer that leaves takes its targets along; back again they are new", () => {
    const [, far] = targetsOf(compile([service([OWN, FAR])]));
    const without = compile([service([OWN, FAR])], { peers: [] });
    expect(taskNames(without)).toEqual(["own"]);
    expect(far!.isRetired).toBe(true);
    const back = compile([service([OWN, FAR])]);
    expect(taskNames(back)).toEqual(["own", "far"]);
    expect(targetsOf(back)[1]!.isRetired).toBe(false);
  });

  test("another service's peers do not matter to one that has none there", () => {
    const first = compile([service([OWN])]);
    const second = compile([service([OWN])], { peers: [] });
    expect(second.services.get("test")).toBe(first.services.get("test")!);
  });

  test("a task that drains keeps its target, with the time it has; one that no longer does is as before", () => {
    const [own] = targetsOf(compile([service([OWN])]));
    const [draining] = targetsOf(compile([service([{ ...OWN, isDraining: true }], { drainTimeoutMs: 100 })]));
    expect(draining).toBe(own!);
    expect([own!.isDraining, own!.cutAtMs]).toEqual([true, NOW_MS + 100]);
    compile([service([OWN])]);
    expect([own!.isDraining, own!.cutAtMs]).toEqual([false, Number.POSITIVE_INFINITY]);
  });

  describe("an address that the name of a task no longer has", () => {
    const WEB = { name: "web.test" };
    const FIRST = { ...WEB, address: "10.0.0.1" };
    const SECOND = { ...WEB, address: "10.0.0.2" };
    const isTouched = (target: Target) => target.isDraining || target.isRetired;

    /** In the place of the main thread: a slot for every address. */
    function compileTasks(tasks: readonly TestTask[], rules: Partial<WorkerService> = {}): CompiledTable {
      const made = service(tasks, rules);
      const slotOf = ({ address }: WorkerTask) => Number(address.split(".")[3]);
      return compile([{ ...made, tasks: made.tasks.map((task) => ({ ...task, slot: slotOf(task) })) }]);
    }

    test("gets nothing new, and what is open goes on without end; back in an answer it is as before", () => {
      const [first] = targetsOf(compileTasks([FIRST]));
      first!.onConnected();
      const [second] = targetsOf(compileTasks([SECOND]));
      expect(second).not.toBe(first!);
      expect([first!.isDraining, first!.isGone(Number.MAX_VALUE)]).toEqual([true, false]);
      expect(targetsOf(compileTasks([FIRST, SECOND]))).toEqual([first!, second!]);
      expect([first!, second!].some(isTouched)).toBe(false);
    });

    test("is cut after drain_timeout when its task drains, leaves, or the name has no address at all", () => {
      const ends: readonly (readonly TestTask[])[] = [[], [OWN], [{ ...SECOND, isDraining: true }]];
      for (const end of ends) {
        before = EMPTY_TABLE;
        const [first] = targetsOf(compileTasks([FIRST]));
        first!.onConnected();
        compileTasks([SECOND]);
        compileTasks(end, { drainTimeoutMs: 100 });
        expect(first!.cutAtMs).toBe(NOW_MS + 100);
        first!.onClosed();
      }
    });

    test("is cut when its service leaves, or the port of the task changes", () => {
      const ends = [
        () => compile([]),
        () => compileTasks([SECOND], { ports: [{ ...PORT, target: 81, listeners: [] }] }),
      ];
      for (const end of ends) {
        before = EMPTY_TABLE;
        const [first] = targetsOf(compileTasks([FIRST]));
        first!.onConnected();
        compileTasks([SECOND]);
        end();
        expect(first!.cutAtMs).toBe(NOW_MS + 30_000);
        first!.onClosed();
      }
    });

    test("is remembered while connections are open to it", () => {
      for (let turn = 0; turn < 1_000; turn++)
        compileTasks([{ ...WEB, address: `10.0.0.${turn % 50}` }], { maxConnections: turn });
      expect(missingTargetsOf(before).length).toBeLessThanOrEqual(1);
      const [last] = targetsOf(before);
      last!.onConnected();
      for (let turn = 0; turn < 10; turn++) compileTasks([{ ...WEB, address: `10.0.0.${turn % 2}` }]);
      expect(missingTargetsOf(before)).toContain(last!);
      last!.onClosed();
      for (let turn = 0; turn < 10; turn++) compileTasks([{ ...WEB, address: `10.0.0.${turn % 2}` }]);
      expect(missingTargetsOf(before)).not.toContain(last!);
    });
  });

  test("a service that leaves retires its targets", () => {
    const [own] = targetsOf(compile([service([OWN])]));
    expect(targetsOf(compile([]))).toEqual([]);
    expect(own!.isRetired).toBe(true);
  });
});
