import { describe, expect, test } from "bun:test";
import { type Announcement, type DriverName, pairPath } from "../../../src/overlay/index.ts";

const SUBNET = "10.200.0.0/16";
const DRIVERS: readonly DriverName[] = ["kernel", "userspace", "none"];

function announce(driver: DriverName, encrypt: boolean, rest: Partial<Announcement> = {}): Announcement {
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
        expect(path.isEncrypted).toBe(one.encrypt || other.encrypt);
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
    ["kernel", "kernel", false, "plain"],
    ["kernel", "userspace", false, "plain"],
    ["userspace", "userspace", true, "sealed"],
    ["kernel", "kernel", true, "plain"],
    ["kernel", "userspace", true, null],
    ["none", "userspace", false, null],
    ["none", "kernel", true, null],
  ] as const)("%s and %s, encrypted %p: frames %p", (a, b, encrypt, frames) => {
    expect(pairPath(announce(a, encrypt), announce(b, encrypt), SUBNET).frames).toBe(frames);
  });
});
