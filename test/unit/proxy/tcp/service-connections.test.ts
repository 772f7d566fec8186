/** Which connection of a service is closed for a new client. */
import { beforeEach, expect, test } from "bun:test";
import type { DescriptorShare } from "../../../../src/proxy/table/descriptor-shares.ts";
import type { RecentList } from "../../../../src/proxy/table/recent-list.ts";
import { type Evictable, ServiceConnections } from "../../../../src/proxy/tcp/service-connections.ts";

const LIMIT = 8;
let used = 0;
let connections: ServiceConnections<Connection>;
const evicted: string[] = [];

class Connection implements Evictable<Connection> {
  older: Connection | null = null;
  newer: Connection | null = null;
  among: RecentList<Connection> | null = null;
  placedMs = 0;
  hasSpoken = false;

  constructor(
    readonly name: string,
    public usedMs: number,
  ) {
    connections.add(this);
  }

  speak(nowMs: number): this {
    this.hasSpoken = true;
    this.usedMs = nowMs;
    return this;
  }

  evict(): void {
    evicted.push(this.name);
    connections.remove(this);
  }
}

beforeEach(() => {
  used = 0;
  evicted.length = 0;
  const share = {
    hasRoom: (count: number) => used + count <= LIMIT,
    add: (count: number) => void (used += count),
    remove: (count: number) => void (used -= count),
  };
  connections = new ServiceConnections(share as unknown as DescriptorShare);
});

test("nothing is closed while there is room", () => {
  new Connection("a", 0);
  expect(connections.makeRoom(1_000_000)).toBe(true);
  expect(evicted).toEqual([]);
});

test("the one whose client has been silent for longest goes first, though others are idle for longer", () => {
  const [a, b, c, d] = ["a", "b", "c", "d"].map((name, index) => new Connection(name, index));
  a!.speak(10);
  c!.speak(11);
  expect([b!.hasSpoken, d!.hasSpoken]).toEqual([false, false]);
  expect(connections.makeRoom(60_000)).toBe(true);
  expect(evicted).toEqual(["b"]);
});

test("a client gets a second to say something, whatever its task says", () => {
  const all = ["a", "b", "c", "d"].map((name) => new Connection(name, 100));
  all[0]!.usedMs = 900; // the task's greeting
  expect(connections.makeRoom(1_099)).toBe(false);
  expect(connections.makeRoom(1_100)).toBe(true);
  expect(evicted).toEqual(["a"]);
});

test("where all have spoken the one that has been idle for longest goes, after ten seconds", () => {
  const all = ["a", "b", "c", "d"].map((name, index) => new Connection(name, index).speak(index));
  expect(connections.makeRoom(9_000)).toBe(false);
  all[0]!.usedMs = 9_500;
  all[2]!.usedMs = 9_600;
  expect(connections.makeRoom(10_003)).toBe(true);
  expect(evicted).toEqual(["b"]);
});

test("what is in use is never closed", () => {
  const all = ["a", "b", "c", "d"].map((name) => new Connection(name, 0));
  for (let nowMs = 5_000; nowMs < 100_000; nowMs += 5_000) {
    for (const connection of all) connection.speak(nowMs);
    expect(connections.makeRoom(nowMs + 1_000)).toBe(false);
  }
  expect(evicted).toEqual([]);
});
