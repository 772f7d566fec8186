import { describe, expect, test } from "bun:test";
import { type Announcement, type Driver, pairPath } from "../../../src/overlay/index.ts";

const SUBNET = "10.200.0.0/16";
const DRIVERS: readonly Driver[] = ["kernel", "userspace", "none"];

function announce(driver: Driver, encrypt: boolean, rest: Partial<Announcement> = {}): Announcement {
  const address = driver === "none" ? null : "10.200.0.7";
  return { driver, address, vni: 4096, port: 4789, encrypt, publicKey: "00".repeat(32), ...rest };
}

const EVERY_END = DRIVERS.flatMap((driver) => [true, false].map((encrypt) => announce(driver, encrypt)));

describe("pairPath", () => {
  test("is the same seen from both sides, and never clear when one of both encrypts", () => {
    for (const one of EVERY_END) {
      for (const other of EVERY_END) {
        const path = pairPath(one, other, SUBNET);
        expect(pairPath(other, one, SUBNET).frames).toBe(path.frames);
        const isSealed = path.isRelaySealed || path.frames === "sealed";
        expect(isSealed).toBe(one.encrypt || other.encrypt);
      }
    }
  });

  test("sends no clear frame to a userspace node that encrypts", () => {
    for (const one of EVERY_END) {
      const path = pairPath(one, announce("userspace", true), SUBNET);
      expect(path.frames).not.toBe("plain");
    }
  });

  test.each([
    ["kernel", "kernel", false, "plain", false],
    ["kernel", "userspace", false, "plain", false],
    ["userspace", "userspace", true, "sealed", false],
    ["kernel", "kernel", true, "plain", true],
    ["kernel", "userspace", true, null, true],
    ["none", "userspace", false, null, false],
    ["none", "kernel", true, null, true],
  ] as const)(
    "%s and %s, encrypted %p: frames %p, relay sealed %p",
    (a, b, encrypt, frames, isRelaySealed) => {
      const path = pairPath(announce(a, encrypt), announce(b, encrypt), SUBNET);
      expect([path.frames, path.isRelaySealed]).toEqual([frames, isRelaySealed]);
    },
  );

  test.each([
    [{ vni: 7 }, "overlay.vni is 4096 here, 7 there"],
    [{ address: "10.1.0.7" }, "overlay.subnet is 10.200.0.0/16 here, its address 10.1.0.7"],
    [{ address: null }, "it has no overlay address yet"],
  ])("what does not fit goes over the nodes' own addresses: %p", (rest, problem) => {
    const path = pairPath(announce("kernel", false), announce("kernel", false, rest), SUBNET);
    expect(path).toEqual({ frames: null, isRelaySealed: false, problem });
  });
});
