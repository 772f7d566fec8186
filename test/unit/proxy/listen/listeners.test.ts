/** What is opened and closed from one routing table to the next, with sockets that are numbers. */
import { beforeEach, describe, expect, test } from "bun:test";
import { DescriptorBudget } from "../../../../src/proxy/listen/descriptor-budget.ts";
import { type ListenAddress, listenerKey } from "../../../../src/proxy/listen/listen-address.ts";
import { Listeners, type PreparedTable } from "../../../../src/proxy/listen/listeners.ts";
import type { Relay, RoutingTable } from "../../../../src/proxy/table/routing-table.ts";
import { type TestService, tableOf } from "../../../support/proxy/routing-table.ts";

const WORKERS = 2;
const RELAY: Relay = {
  node: "n1",
  listenAddresses: ["0.0.0.0"],
  port: 4789,
  udpPort: 4789,
  keys: ["5a".repeat(32)],
  acceptsClear: "always",
};

let opened: string[];
let shared: string[];
let closed: number[];
/** Keys that another program has. */
let taken: Set<string>;
let listeners: Listeners;

beforeEach(() => {
  [opened, shared, closed, taken] = [[], [], [], new Set()];
  listeners = listenersWithin(20_000);
});

function listenersWithin(limit: number): Listeners {
  let nextFd = 100;
  return new Listeners({
    budget: new DescriptorBudget(limit, WORKERS, false),
    open: (at: ListenAddress, count: number, isShared: boolean) => {
      const key = listenerKey(at) + (at.isDual ? " dual" : "");
      if (taken.has(key)) return { error: `${key} is taken` };
      opened.push(key);
      if (isShared) shared.push(key);
      return { fds: Array.from({ length: count }, () => nextFd++) };
    },
    close: (fd) => closed.push(fd),
  });
}

function service(
  name: string,
  published: number,
  listenAddresses: readonly string[],
  rest: Partial<TestService> = {},
) {
  return { name, protocol: "tcp", published, tasks: [80], listenAddresses, ...rest } as const;
}

/** Prepares and runs it. */
function run(table: RoutingTable): PreparedTable {
  const prepared = listeners.prepare(table);
  listeners.replace(prepared.listeners);
  return prepared;
}

function fdsAt(key: string): readonly number[] {
  return listeners.running.get(key)!.fds;
}

describe("from one table to the next", () => {
  test("what stays keeps its sockets, the new is opened, the old is named", () => {
    run(tableOf(service("web", 80, ["192.0.2.1"]), service("db", 90, ["192.0.2.1"])));
    const fds = fdsAt("tcp 192.0.2.1:80");
    const next = tableOf(service("web", 80, ["192.0.2.1"]), service("mail", 25, ["192.0.2.1"]));
    const { changes, listeners: prepared } = run(next);
    expect(changes).toEqual({
      listenersOpened: ["tcp 192.0.2.1:25"],
      listenersClosed: ["tcp 192.0.2.1:90"],
    });
    expect([opened.length, fdsAt("tcp 192.0.2.1:80") === fds, listeners.newIn(prepared)]).toEqual([
      3,
      true,
      [],
    ]);
  });

  test("a port that another service has from now on keeps its sockets", () => {
    run(tableOf(service("web", 80, ["192.0.2.1"])));
    const { listeners: prepared } = run(tableOf(service("new", 80, ["192.0.2.1"])));
    expect([prepared.get("tcp 192.0.2.1:80")!.service, opened.length]).toEqual(["new", 1]);
  });

  test("sockets of a change that is abandoned are closed, no others", () => {
    run(tableOf(service("web", 80, ["192.0.2.1"])));
    const prepared = listeners.prepare(
      tableOf(service("web", 80, ["192.0.2.1"]), service("db", 90, ["192.0.2.1"])),
    );
    listeners.abandon(prepared);
    expect(closed).toEqual([...prepared.listeners.get("tcp 192.0.2.1:90")!.fds]);
    expect(listeners.running.has("tcp 192.0.2.1:90")).toBe(false);
  });

  test("TCP sockets that leave are named, UDP ones are the workers' to close", () => {
    const udp = {
      protocol: "udp",
      ports: [{ protocol: "udp", published: 53, target: 53, mode: "ingress" }],
    } as const;
    run(tableOf(service("web", 80, ["192.0.2.1"]), service("dns", 53, ["192.0.2.1"], udp)));
    const fds = [...fdsAt("tcp 192.0.2.1:80")];
    expect(listeners.tcpSocketsNotIn(listeners.prepare(tableOf()).listeners)).toEqual(fds);
  });
});

describe("a port that cannot be bound", () => {
  test("is reported once, and once more when it can", () => {
    taken.add("tcp 192.0.2.1:80");
    const table = tableOf(service("web", 80, ["192.0.2.1"]));
    const first = listeners.prepare(table);
    expect(listeners.changedIn(first.listeners)).toMatchObject([
      { service: "web", error: "tcp 192.0.2.1:80 is taken" },
    ]);
    expect([first.bindErrors.length, listeners.replace(first.listeners)]).toEqual([1, true]);
    const again = listeners.prepare(table);
    expect([listeners.changedIn(again.listeners), listeners.replace(again.listeners)]).toEqual([[], false]);
    taken.clear();
    const free = listeners.prepare(table);
    expect(listeners.changedIn(free.listeners)).toMatchObject([{ service: "web", error: null }]);
    expect([listeners.replace(free.listeners), listeners.bindErrors]).toEqual([true, []]);
  });

  test("does not keep others from being opened", () => {
    taken.add("tcp 192.0.2.1:80");
    run(tableOf(service("web", 80, ["192.0.2.1", "192.0.2.2"])));
    expect([fdsAt("tcp 192.0.2.1:80"), fdsAt("tcp 192.0.2.2:80").length]).toEqual([[], WORKERS]);
  });

  test("because of the relay of this node names what to change", () => {
    const table = { ...tableOf(service("web", 4789, ["0.0.0.0", "::"])), relay: RELAY };
    const { bindErrors } = run(table);
    expect(bindErrors.map(({ address }) => address)).toEqual(["0.0.0.0"]);
    expect(bindErrors[0]!.error).toContain("the relay of this node uses it: publish another port");
    expect(listeners.openPorts.map(({ address }) => address)).toEqual(["::"]);
  });

  test("is left out when there are too many for the descriptors, with the figures", () => {
    listeners = listenersWithin(256);
    const ports = Array.from({ length: 200 }, (_, index) => index + 1);
    const { bindErrors } = run(tableOf(...ports.map((port) => service(`s${port}`, port, ["192.0.2.1"]))));
    expect(listeners.socketCount).toBeLessThan(256);
    expect(bindErrors.length).toBe(200 - listeners.socketCount / WORKERS);
    expect(bindErrors[0]!.error).toContain("200 ports × 1 address × 2 workers need 400 descriptors");
  });
});

describe("a service at both wildcard addresses", () => {
  const BOTH = ["0.0.0.0", "::"];

  test("has one socket for both families", () => {
    run(tableOf(service("web", 80, BOTH)));
    expect([opened, fdsAt("tcp 0.0.0.0:80"), fdsAt("tcp [::]:80").length]).toEqual([
      ["tcp [::]:80 dual"],
      [],
      WORKERS,
    ]);
    expect([listeners.bindErrors, listeners.openPorts.length]).toEqual([[], 2]);
  });

  test("has one for each where another program has the port at one of them", () => {
    taken.add("tcp [::]:80 dual").add("tcp [::]:80");
    run(tableOf(service("web", 80, BOTH)));
    expect(opened).toEqual(["tcp 0.0.0.0:80"]);
    expect(listeners.bindErrors.map(({ address }) => address)).toEqual(["::"]);
  });

  test("and at one of them only from now on gets a socket of that family, beside the one that goes", () => {
    run(tableOf(service("web", 80, BOTH)));
    run(tableOf(service("web", 80, ["0.0.0.0"])));
    expect([opened.at(-1), shared]).toEqual(["tcp 0.0.0.0:80", ["tcp 0.0.0.0:80"]]);
  });

  test("does not share it with another service", () => {
    run(tableOf(service("web", 80, ["0.0.0.0"]), service("other", 80, ["::"])));
    expect(opened).toEqual(["tcp 0.0.0.0:80", "tcp [::]:80"]);
  });
});
