import { expect, test } from "bun:test";
import { effectiveConfig } from "../../../src/config/index.ts";
import { configOf, service } from "./problems-of.ts";

test("effectiveConfig: the file's own keys, defaults filled in, ranges collapsed", () => {
  const text = `[node]\nname = "n"\n[[services]]\nname = "a"\npublish = ["80", "90-92:190-192", "53/udp"]\ntasks = ["b:1"]`;
  expect(effectiveConfig(configOf(text))).toEqual({
    node: { name: "n", labels: {}, exec_checks: false },
    proxy: { workers: 0, bind: [] },
    admin: {},
    log: {
      level: "info",
      format: "auto",
      connections: "errors",
      connection_format: "auto",
      connection_rate: 5000,
    },
    services: [
      {
        name: "a",
        publish: ["80:80/tcp", "90-92:190-192/tcp", "53:53/udp"],
        tasks: [{ address: "b:1", weight: 1, drain: false, backup: false }],
        balance: "round-robin",
        prefer: "any",
        send_proxy: "none",
        accept_proxy: [],
        allow: ["0.0.0.0/0", "::/0"],
        deny: [],
        nodes: {},
        max_connections: 0,
        idle_timeout: "0s",
        drain_timeout: "30s",
        udp: { mode: "session", idle_timeout: "1m30s", max_sessions: 65_536, responses: 0 },
      },
    ],
  });
});

test.each([
  ["tcp only", service('idle_timeout = "1h1ms"')],
  ["udp only", '[[services]]\nname = "a"\npublish = ["53/udp"]\nudp = { mode = "packet" }'],
  ["a port on host", '[[services]]\nname = "a"\npublish = [{ published = 80, mode = "host" }, "81-82"]'],
  ["a cluster", '[node]\nadvertise = "192.0.2.1"\n[cluster]\njoin = ["a:1", "::1"]\nbind = "127.0.0.1"'],
  ["inherited bind", `[proxy]\nbind = ["eth0"]\n${service("bind = []")}`],
])("effectiveConfig: reading it again gives the same configuration: %s", (_, text) => {
  const config = configOf(text);
  expect(configOf(JSON.stringify(effectiveConfig(config)), "effective.json")).toEqual(config);
});

test("effectiveConfig: keys are masked", () => {
  const key = Buffer.alloc(32, 7).toString("base64");
  const text = JSON.stringify(effectiveConfig(configOf(`[cluster]\nkeys = ["${key}"]`)));
  expect(text).not.toContain(key);
  expect(text).toContain('"keys":["***"]');
});
