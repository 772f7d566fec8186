import { describe, expect, test } from "bun:test";
import { Access, type AccessRules } from "../../../../src/admin/tcp/access.ts";
import { AddressBudget, addressKey } from "../../../../src/admin/tcp/address-budget.ts";
import type { RequestHead } from "../../../../src/admin/tcp/request-head.ts";

const READ = "r".repeat(30);
const WRITE = "w".repeat(30);

function digest(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}

const TOKENS: AccessRules["tokens"] = [
  { role: "write", digest: digest(WRITE) },
  { role: "read", digest: digest(READ) },
];

function access(rules: Partial<AccessRules> = {}) {
  const judge = new Access(() => ({
    tokens: TOKENS,
    hosts: ["edge-1", "pm.example.org"],
    isTls: false,
    ...rules,
  }));
  let nowMs = 0;
  return {
    wait: (ms: number) => {
      nowMs += ms;
    },
    ask: (method: string, target: string, headers: Record<string, string> = {}, address = "192.0.2.9") => {
      const head: RequestHead = {
        method,
        target,
        isHttp10: false,
        headers: new Map(Object.entries({ host: "192.0.2.1:7980", ...headers })),
        bodyBytes: 0,
      };
      return judge.judge(head, address, nowMs)?.status ?? 200;
    },
  };
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe("tokens", () => {
  test("reading needs one, changing one that may write", () => {
    const { ask } = access();
    expect(ask("GET", "/v1/status")).toBe(401);
    expect(ask("GET", "/v1/status", bearer("x".repeat(30)))).toBe(401);
    expect(ask("GET", "/v1/status", { authorization: `Basic ${READ}` })).toBe(401);
    expect(ask("GET", "/v1/status", bearer(READ))).toBe(200);
    expect(ask("HEAD", "/metrics", bearer(READ))).toBe(200);
    for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
      expect(ask(method, "/v1/services/a", bearer(READ))).toBe(403);
      expect(ask(method, "/v1/services/a", bearer(WRITE))).toBe(200);
    }
  });

  test("without a file of tokens reading is free and nothing changes", () => {
    const { ask } = access({ tokens: null });
    expect(ask("GET", "/v1/status")).toBe(200);
    expect(ask("POST", "/v1/reload")).toBe(403);
    expect(ask("DELETE", "/v1/services/a", bearer(WRITE))).toBe(403);
  });

  test("a token with both roles may write, whatever their order", () => {
    const both = [
      { role: "write", digest: digest(READ) },
      { role: "read", digest: digest(READ) },
    ] as const;
    for (const tokens of [both, both.toReversed()])
      expect(access({ tokens }).ask("POST", "/v1/reload", bearer(READ))).toBe(200);
  });

  test.each(["/v1/upgrade", "/v1/make-way", "/v1/handover", "/v1/handover/failed"])(
    "%s is answered on the Unix socket only",
    (path) => expect(access().ask("POST", path, bearer(WRITE))).toBe(403),
  );

  test("wrong tokens of one address are slowed down, those of another are not", () => {
    const { ask, wait } = access();
    for (let i = 0; i < 20; i++) expect(ask("GET", "/v1/status", bearer(`wrong-${i}`))).toBe(401);
    expect(ask("GET", "/v1/status", bearer("wrong"))).toBe(429);
    expect(ask("GET", "/v1/status", bearer(READ))).toBe(429);
    expect(ask("GET", "/v1/status", bearer(READ), "192.0.2.10")).toBe(200);
    wait(1_000);
    expect(ask("GET", "/v1/status", bearer(READ))).toBe(200);
  });
});

test("probes need neither token nor name", () => {
  const { ask } = access();
  for (const path of ["/livez", "/readyz", "/ports/8080/ready", "/ports/53/ready?protocol=udp"])
    expect(ask("GET", path, { host: "whatever.example" })).toBe(200);
  expect(ask("POST", "/readyz")).toBe(401);
  expect(ask("GET", "/readyz/../v1/status")).toBe(401);
  expect(ask("GET", "//readyz")).toBe(401);
});

describe("pages of others", () => {
  test.each([
    ["192.0.2.1:7980", 200],
    ["[2001:db8::1]:7980", 200],
    ["localhost", 200],
    ["LOCALHOST:1", 200],
    ["edge-1:7980", 200],
    ["PM.example.org", 200],
    ["attacker.example", 421],
    ["192.0.2.1.attacker.example:7980", 421],
    ["localhost.attacker.example", 421],
    ["", 421],
    ["[]", 421],
  ])("host %p is %p", (host, status) => {
    expect(access().ask("GET", "/v1/status", { host, ...bearer(READ) })).toBe(status);
  });

  test.each([
    [{ origin: "http://192.0.2.1:7980" }, 200],
    [{ origin: "https://192.0.2.1:7980" }, 403],
    [{ origin: "http://attacker.example" }, 403],
    [{ origin: "null" }, 403],
    [{ "sec-fetch-site": "cross-site" }, 403],
    [{ "sec-fetch-site": "same-site" }, 403],
    [{ "sec-fetch-site": "same-origin" }, 200],
    [{ "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" }, 200],
  ])("%j is %p", (headers, status) => {
    expect(access().ask("GET", "/v1/status", { ...headers, ...bearer(READ) })).toBe(status);
  });

  test("with TLS the own origin is https", () => {
    const { ask } = access({ isTls: true });
    expect(ask("GET", "/v1/status", { origin: "https://192.0.2.1:7980", ...bearer(READ) })).toBe(200);
  });
});

test("requests of one address have a rate", () => {
  const { ask, wait } = access();
  const asked = Array.from({ length: 310 }, () => ask("GET", "/livez"));
  expect(asked.filter((status) => status === 200).length).toBe(300);
  expect(ask("GET", "/livez", {}, "192.0.2.10")).toBe(200);
  wait(100);
  expect(ask("GET", "/livez")).toBe(200);
});

test("IPv6 clients count by /64, and the addresses that are kept are bounded", () => {
  expect(addressKey("2001:db8:1:2:3::4")).toBe(addressKey("2001:db8:1:2::9"));
  expect(addressKey("2001:db8:1:3::4")).not.toBe(addressKey("2001:db8:1:2::4"));
  expect(addressKey("::ffff:192.0.2.9")).toBe(addressKey("192.0.2.9"));
  const budget = new AddressBudget({ burst: 1, refillMs: 1_000_000 });
  expect([budget.take("192.0.2.1", 0), budget.take("192.0.2.1", 0)]).toEqual([true, false]);
  for (let i = 0; i < 10_000; i++) budget.take(`10.${i >> 8}.${i & 255}.1`, 0);
  expect(budget.take("192.0.2.1", 0)).toBe(true); // forgotten
});
