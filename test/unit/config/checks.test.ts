import { describe, expect, test } from "bun:test";
import { effectiveConfig } from "../../../src/config/index.ts";
import type { Check } from "../../../src/model/index.ts";
import { configOf, problemsOf, service } from "./problems-of.ts";

const DEFAULTS = { intervalMs: 2_000, timeoutMs: 1_000, rise: 2, fall: 3, port: null };

function checkOf(keys: string): Check | null {
  return configOf(service(`check = { ${keys} }`)).services[0]!.check;
}

/** Without the place in the file. */
function problemOf(keys: string): string | undefined {
  return problemsOf(service(`check = { ${keys} }`))[0]?.replace(/^test.toml:\d+:\d+: services\[0\]\./, "");
}

describe("check: what a file may say", () => {
  const http = { type: "http", ...DEFAULTS, method: "GET", path: "/", host: null, headers: {} };

  test.each<[string, object]>([
    ['type = "tcp"', { type: "tcp", ...DEFAULTS }],
    [
      'type = "tcp", port = 81, interval = "5s", timeout = "100ms", rise = 1, fall = 9',
      {
        ...{ type: "tcp", port: 81, intervalMs: 5_000, timeoutMs: 100, rise: 1, fall: 9 },
      },
    ],
    ['type = "http"', { ...http, status: "200-399" }],
    ['type = "http", status = 204', { ...http, status: "204" }],
    ['type = "http", status = "200, 204, 300-302"', { ...http, status: "200,204,300-302" }],
    [
      'type = "http", host = "[2001:db8::1]:8080", headers = { X-A = "b" }',
      {
        ...{ ...http, status: "200-399", host: "[2001:db8::1]:8080", headers: { "X-A": "b" } },
      },
    ],
    ['type = "send-expect", expect = "220"', { type: "send-expect", ...DEFAULTS, send: "", expect: "220" }],
    [
      'type = "udp", port = 53, send = "hex:00FF"',
      {
        ...{ type: "udp", ...DEFAULTS, port: 53, send: "hex:00FF", expect: null },
      },
    ],
    [
      'type = "exec", command = ["/bin/true", "-x"]',
      {
        ...{
          type: "exec",
          intervalMs: 2_000,
          timeoutMs: 1_000,
          rise: 2,
          fall: 3,
          command: ["/bin/true", "-x"],
        },
      },
    ],
  ])("%s", (keys, check) => {
    expect(checkOf(keys)).toEqual(check as Check);
    const again = JSON.stringify(effectiveConfig(configOf(service(`check = { ${keys} }`))));
    expect(configOf(again, "test.json").services[0]!.check).toEqual(check as Check);
  });
});

test.each<[string, string]>([
  ['type = "ping"', 'check.type: "ping" is not one of tcp, http, send-expect, udp, exec'],
  ["port = 80", "check.type: missing: expected one of tcp, http, send-expect, udp, exec"],
  ['type = "tcp", path = "/"', 'check.path: has no effect on a check of type "tcp": only on "http"'],
  [
    'type = "http", send = "x"',
    'check.send: has no effect on a check of type "http": only on "send-expect", "udp"',
  ],
  [
    'type = "exec", command = ["/bin/true"], port = 1',
    'check.port: has no effect on a check of type "exec": only on "tcp", "http", "send-expect", "udp"',
  ],
  ['type = "exec"', 'check.command: missing: a check of type "exec" needs it'],
  ['type = "exec", command = []', "check.command: empty: the program and its arguments are expected"],
  ['type = "exec", command = ["true"]', "check.command: the program needs its whole path"],
  ['type = "send-expect"', 'check.expect: missing: a check of type "send-expect" needs it'],
  ['type = "send-expect", expect = ""', "check.expect: empty: what the answer has to contain is expected"],
  ['type = "udp", port = 1', 'check.send: missing: a check of type "udp" needs it'],
  ['type = "udp", send = "hex:0"', 'check.send: "hex:0": after "hex:" two hexadecimal digits'],
  ['type = "udp", send = "x"', 'check: a check of type "udp" needs port: the service publishes no udp port'],
  ['type = "http", status = "2xx"', 'check.status: "2xx" is not a status like "200", "200-399" or "200,204"'],
  ['type = "http", status = "399-200"', 'check.status: "399-200" is not a status'],
  ['type = "http", path = "healthz"', 'check.path: "healthz" does not start with "/"'],
  ['type = "http", path = "/a b"', "check.path: "],
  ['type = "http", method = "DELETE"', 'check.method: "DELETE" is not one of GET, HEAD, OPTIONS, POST'],
  ['type = "http", host = "a b"', 'check.host: "a b" is not a host like'],
  ['type = "http", headers = { "a b" = "c" }', "check.headers"],
  [
    'type = "http", headers = { a = "c\\r\\nd: e" }',
    "check.headers.a: contains characters that a header must not",
  ],
  ['type = "tcp", interval = "10ms"', 'check.interval: "10ms" is outside 100ms..'],
  ['type = "tcp", timeout = "0s"', 'check.timeout: "0s" is outside 1ms..'],
  ['type = "tcp", fall = 0', "check.fall: 0 is outside 1..100"],
  ['type = "tcp", intervall = "1s"', 'check.intervall: unknown key: did you mean "interval"?'],
])("check: %s is refused", (keys, problem) => expect(problemOf(keys)).toContain(problem));

test.each(["panic = false", 'slow_start = "1s"'])("%s has no effect without check", (key) => {
  expect(problemsOf(service(key))[0]).toContain("has no effect without check");
});

test("backup is a key of a task", () => {
  const [web] = configOf(service('tasks = ["a", { address = "b", backup = true }]')).services;
  expect(web!.tasks.map(({ isBackup }) => isBackup)).toEqual([undefined, true]);
});
