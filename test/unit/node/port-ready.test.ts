import { expect, test } from "bun:test";
import { Catalog } from "../../../src/catalog/index.ts";
import { whyPortNotReady } from "../../../src/node/port-ready.ts";
import type { PortStatus, Task } from "../../../src/proxy/index.ts";
import { proxyStatus, serviceStatus, taskStatus } from "../../support/node/proxy-status.ts";
import { tableOf } from "../../support/proxy/routing-table.ts";

const LISTENING: PortStatus["listeners"] = [{ address: "0.0.0.0", error: null }] as PortStatus["listeners"];
const TASK: Partial<Task> = { name: "local", identity: "a local", address: "127.0.0.1" };

function why(
  port: Partial<PortStatus>,
  task: Parameters<typeof taskStatus>[1] = {},
  asked = 80,
): string | null {
  const ports = [{ protocol: "tcp", published: 80, target: 80, listeners: LISTENING, ...port } as PortStatus];
  const table = tableOf({ name: "web", protocol: "tcp", published: 80, tasks: [TASK] });
  const input = {
    self: { name: "a", labels: {} },
    bind: [],
    services: [],
    peers: [],
    relay: null,
    nodes: [],
  };
  const proxy = proxyStatus(serviceStatus("web", { ports, tasks: [taskStatus("local", task)] }));
  return whyPortNotReady("tcp", asked, {
    self: "a",
    catalog: new Catalog("a"),
    members: [],
    proxy,
    table,
    input,
  });
}

test("a port is ready while it is listened on and a task is used", () => {
  expect(why({})).toBeNull();
  expect(why({}, {}, 81)).toBe("no service publishes 81/tcp");
  expect(why({ listeners: [{ address: "0.0.0.0", error: "in use" }] as PortStatus["listeners"] })).toBe(
    "in use",
  );
  expect(why({ listeners: [] })).toBe("this node does not listen on 80/tcp");
  expect(why({ isClosed: true })).toBe("80/tcp is closed: no task is reachable");
  expect(why({}, { state: "failing" })).toBe('no task of service "web" is available');
});
