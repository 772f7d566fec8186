import { expect, test } from "bun:test";
import { compareConfigs } from "../../../src/config/index.ts";
import { configOf, service } from "./problems-of.ts";

test("compareConfigs: equal configurations", () => {
  const text = service('tasks = ["a", "b"]\nallow = ["10.0.0.0/8", "::1"]');
  const reordered = service('tasks = ["b", "a"]\nallow = ["::1/128", "10.0.0.9/8"]');
  expect(compareConfigs(configOf(text), configOf(reordered))).toEqual({
    services: { added: [], removed: [], changed: [] },
    settings: [],
    isEmpty: true,
  });
});

test("compareConfigs: services added and removed", () => {
  const { services, isEmpty } = compareConfigs(
    configOf(service("")),
    configOf('[[services]]\nname = "api"\npublish = ["81"]'),
  );
  expect(services).toEqual({ added: ["api"], removed: ["web"], changed: [] });
  expect(isEmpty).toBe(false);
});

test("compareConfigs: every change of a service in words", () => {
  const before = `[[services]]
name = "web"
publish = ["8080:80", "53/udp"]
tasks = ["10.1.0.7:8081", "a", "b", { address = "c", drain = true }]
allow = ["10.0.0.0/8"]`;
  const after = `[[services]]
name = "web"
publish = ["9090-9091:80-81", "53/udp"]
tasks = ["10.1.0.8:8081", { address = "a", weight = 3 }, { address = "b", drain = true }, "c"]
balance = "random"
send_proxy = "v2"
accept_proxy = ["192.0.2.1"]
allow = ["fd00::/8"]
bind = ["eth0"]
nodes = { zone = "a" }
prefer = "local"
max_connections = 5
idle_timeout = "90s"
drain_timeout = "1m"
udp = { mode = "packet", idle_timeout = "1s", max_sessions = 1 }`;
  expect(compareConfigs(configOf(before), configOf(after)).services.changed).toEqual([
    {
      name: "web",
      changes: [
        "publish removed 8080:80/tcp",
        "publish added 9090-9091:80-81/tcp",
        "task removed 10.1.0.7:8081",
        "task added 10.1.0.8:8081",
        "task a weight 1 -> 3",
        "task b draining",
        "task c no longer draining",
        "balance round-robin -> random",
        "prefer any -> local",
        "send_proxy none -> v2",
        "accept_proxy added 192.0.2.1/32",
        "allow removed 10.0.0.0/8",
        "allow added fd00::/8",
        "bind proxy.bind -> eth0",
        "nodes every node -> zone=a",
        "max_connections 0 -> 5",
        "idle_timeout 0s -> 1m30s",
        "drain_timeout 30s -> 1m",
        "udp.mode session -> packet",
        "udp.idle_timeout 1m30s -> 1s",
        "udp.max_sessions 65536 -> 1",
      ],
    },
  ]);
});

test("compareConfigs: settings, and which need a restart", () => {
  const before = '[node]\nname = "a"';
  const after = `[node]
name = "b"
[proxy]
workers = 2
bind = ["eth0"]
[admin]
socket = "/x"
[log]
level = "debug"
format = "json"`;
  const { settings } = compareConfigs(configOf(before), configOf(after));
  expect(settings).toEqual([
    { key: "node.name", before: "a", after: "b", needsRestart: true },
    { key: "proxy.workers", before: 0, after: 2, needsRestart: true },
    { key: "proxy.bind", before: [], after: ["eth0"], needsRestart: false },
    { key: "admin.socket", before: null, after: "/x", needsRestart: true },
    { key: "log.level", before: "info", after: "debug", needsRestart: false },
    { key: "log.format", before: "auto", after: "json", needsRestart: true },
  ]);
});
