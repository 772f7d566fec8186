import { expect, test } from "bun:test";
import fc from "fast-check";
import { type ClientLimits as Limits, NO_CLIENT_LIMITS } from "../../../../src/model/index.ts";
import { ClientLimits, clientTag, refusalOf } from "../../../../src/proxy/table/client-limits.ts";
import { createClientTable, forgetClients, UNTRACKED } from "../../../../src/proxy/table/client-table.ts";
import { topClients } from "../../../../src/proxy/top-clients.ts";
import { type Endpoint, parseIp } from "../../../../src/wire/index.ts";

const SLOT = 3;

function client(address: string): Endpoint {
  return { ...parseIp(address)!, offset: 0, port: 1 };
}

function limits(
  changes: Partial<Limits>,
  memory = createClientTable(1024, 1),
  protocol: "tcp" | "udp" = "tcp",
) {
  const made = ClientLimits.of(memory, SLOT, protocol, { ...NO_CLIENT_LIMITS, ...changes })!;
  const acquire = (address: string, nowMs = 0) => made.acquire(client(address), nowMs);
  const judge = (address: string, nowMs = 0) => refusalOf(acquire(address, nowMs)) ?? "served";
  return { made, acquire, judge, memory };
}

test("without a limit of its protocol a service has none", () => {
  const memory = createClientTable(64, 1);
  const onlyTcp = { ...NO_CLIENT_LIMITS, maxConnections: 1 };
  expect(ClientLimits.of(memory, 0, "udp", onlyTcp)).toBeNull();
  expect(ClientLimits.of(memory, 0, "tcp", undefined)).toBeNull();
  expect(ClientLimits.of(memory, 0, "tcp", onlyTcp)).not.toBeNull();
});

test("a client has so many open at a time, and others are not affected", () => {
  const { made, acquire, judge } = limits({ maxConnections: 2 });
  const first = acquire("192.0.2.1");
  expect([judge("192.0.2.1"), judge("192.0.2.1"), judge("192.0.2.2")]).toEqual([
    "served",
    "client-limit",
    "served",
  ]);
  made.release(first);
  expect([judge("192.0.2.1"), judge("192.0.2.1")]).toEqual(["served", "client-limit"]);
});

test("a rate of n in a period lets n come at once, then one after the other; refused ones cost nothing", () => {
  const { judge } = limits({ rate: { count: 4, perMs: 1000 } });
  const at = (...times: number[]) => times.map((nowMs) => judge("192.0.2.1", nowMs) === "served");
  expect(at(0, 0, 0, 0, 0, 1)).toEqual([true, true, true, true, false, false]);
  expect(at(250, 250, 499, 500)).toEqual([true, false, false, true]);
  expect(at(10_000, 10_000, 10_000, 10_000, 10_000)).toEqual([true, true, true, true, false]);
  expect(limits({ rate: { count: 1, perMs: 60_000 } }).judge("192.0.2.1")).toBe("served");
});

test.each([
  [{ ipv4: 24, ipv6: 64 }, "192.0.2.1", "192.0.2.254", "192.0.3.1"],
  [{ ipv4: 32, ipv6: 64 }, "2001:db8:0:1::1", "2001:db8:0:1:ffff::9", "2001:db8:0:2::1"],
  [{ ipv4: 32, ipv6: 56 }, "2001:db8:0:100::1", "2001:db8:0:1ff::1", "2001:db8:0:200::1"],
  [{ ipv4: 32, ipv6: 128 }, "2001:db8::1", "2001:db8::1", "2001:db8::2"],
  [{ ipv4: 1, ipv6: 1 }, "10.0.0.1", "127.0.0.1", "128.0.0.1"],
])("a prefix of %o makes %s and %s one client, and %s another", (prefix, one, same, other) => {
  const { judge } = limits({ maxConnections: 1, prefix });
  expect([judge(one), judge(same), judge(other)]).toEqual(["served", "client-limit", "served"]);
});

test("an IPv4 client is not the IPv6 client with the same bits; protocols and services count apart", () => {
  const memory = createClientTable(1024, 1);
  const both = { maxConnections: 1, maxSessions: 1 };
  expect(limits(both, memory).judge("192.0.2.0")).toBe("served");
  expect(limits(both, memory).judge("c000:200::")).toBe("served");
  expect(limits(both, memory, "udp").judge("192.0.2.0")).toBe("served");
  const other = ClientLimits.of(memory, SLOT + 1, "tcp", { ...NO_CLIENT_LIMITS, ...both })!;
  expect(refusalOf(other.acquire(client("192.0.2.0"), 0))).toBeNull();
  const worker = limits(both, memory);
  expect(worker.judge("192.0.2.0")).toBe("client-limit");
});

test("what is open already counts, whatever the limits", () => {
  const { made, judge } = limits({ maxConnections: 1, rate: { count: 1, perMs: 1000 } });
  const moved = [1, 2].map(() => made.acquire(client("192.0.2.1"), 0, true));
  expect(judge("192.0.2.1")).toBe("client-limit");
  for (const ticket of moved) made.release(ticket);
  expect(judge("192.0.2.1")).toBe("served");
});

test("a full table forgets clients without connections, never one with; then others go without limits", () => {
  const { made, acquire, judge, memory } = limits({ maxConnections: 1 }, createClientTable(8, 1));
  const open = Array.from({ length: 8 }, (_, index) => acquire(`192.0.2.${index}`));
  expect(new Set(open).size).toBe(8);
  expect(acquire("198.51.100.1")).toBe(UNTRACKED);
  made.release(UNTRACKED);
  expect(memory.untracked[0]).toBe(1);
  expect(judge("192.0.2.5")).toBe("client-limit");
  made.release(open[5]!);
  expect(acquire("198.51.100.1", 1)).toBe(open[5]!);
  expect(judge("198.51.100.1")).toBe("client-limit");
});

test("of the clients without connections the one whose bucket has been full for longest is forgotten", () => {
  const { made, acquire, judge } = limits({ rate: { count: 1, perMs: 60_000 } }, createClientTable(8, 1));
  for (let index = 0; index < 8; index++) made.release(acquire(`192.0.2.${index}`, 10 - index));
  made.release(acquire("198.51.100.1", 11));
  expect(judge("192.0.2.0", 12)).toBe("client-rate");
  expect(judge("192.0.2.7", 12)).toBe("served");
});

test("never more than the limit are open, whatever happens in whatever order", () => {
  const step = fc.record({
    address: fc.integer({ min: 1, max: 12 }),
    isEnd: fc.boolean(),
    waitMs: fc.nat(50),
  });
  const property = fc.property(
    fc.array(step, { maxLength: 300 }),
    fc.integer({ min: 1, max: 3 }),
    (steps, most) => {
      const { made, acquire } = limits({ maxConnections: most }, createClientTable(16, 7));
      const open = new Map<number, number[]>();
      let nowMs = 0;
      for (const { address, isEnd, waitMs } of steps) {
        nowMs += waitMs;
        const tickets = open.get(address) ?? [];
        open.set(address, tickets);
        if (isEnd && tickets.length > 0) made.release(tickets.pop()!);
        else {
          const ticket = acquire(`192.0.2.${address}`, nowMs);
          if (ticket >= 0) tickets.push(ticket);
          else if (ticket !== UNTRACKED) expect(tickets.length).toBe(most);
        }
        expect(tickets.length).toBeLessThanOrEqual(most);
      }
    },
  );
  fc.assert(property, { numRuns: 200 });
});

test("topClients: ten of each service, those refused most first, with their prefix", () => {
  const memory = createClientTable(1024, 1);
  const set = { maxConnections: 1, prefix: { ipv4: 32, ipv6: 64 } };
  const { acquire } = limits(set, memory);
  for (let index = 1; index <= 20; index++)
    for (let times = 0; times <= index % 15; times++) acquire(`192.0.2.${index}`);
  for (let times = 0; times < 40; times++) acquire("2001:db8::7");
  const limited = new Map([[SLOT, { ...NO_CLIENT_LIMITS, ...set }]]);
  const top = topClients(memory, limited).get(SLOT)!;
  expect(top).toHaveLength(10);
  expect(top[0]).toEqual({ client: "2001:db8::/64", protocol: "tcp", open: 1, refusedTotal: 39 });
  expect(top[1]).toEqual({ client: "192.0.2.14", protocol: "tcp", open: 1, refusedTotal: 14 });
  expect(top.map(({ refusedTotal }) => refusedTotal)).toEqual([39, 14, 13, 12, 11, 10, 9, 8, 7, 6]);
  forgetClients(memory, SLOT);
  expect(topClients(memory, limited).get(SLOT)).toEqual([]);
  expect(clientTag(0, "tcp", 4)).not.toBe(0);
});
